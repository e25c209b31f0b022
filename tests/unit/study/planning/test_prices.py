"""Prices of clusters: what an hour costs, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from gkm.errors import InputError
from gkm.study.planning.prices import load_prices
from gkm.study.planning.rates import known_devices, known_rate

SHIPPED = Path(__file__).parents[4] / "cluster/prices.json"


def _file(tmp_path: Path, **worker: Any) -> Path:
    node = {"name": "gpu", "device": "a100", "devices": 8, "price_per_hour": 20.0, "source": "list price", **worker}
    head = {"name": "head", "always_up": True, "price_per_hour": 0.5, "source": "list price"}
    path = tmp_path / "prices.json"
    path.write_text(
        json.dumps({"currency": "EUR", "as_of": "2026-01", "clusters": {"mine.yaml": {"nodes": [head, node]}}})
    )
    return path


def test_an_hour_costs_the_head_and_as_many_whole_nodes_as_there_are_trials_for(tmp_path: Path) -> None:
    price = load_prices(_file(tmp_path)).cluster("mine")
    assert [price.per_hour(devices) for devices in (1, 8, 9)] == [20.5, 20.5, 40.5]
    assert (price.currency, price.worker.device, price.as_of) == ("EUR", "a100", "2026-01")


def test_a_price_of_null_is_unknown(tmp_path: Path) -> None:
    assert load_prices(_file(tmp_path, price_per_hour=None)).cluster("mine.yaml").per_hour(1) is None


def test_the_shipped_prices_are_of_the_shipped_clusters() -> None:
    prices = load_prices(SHIPPED)
    devices = {name: price.worker.device for name, price in prices.clusters.items() if name != "local"}
    assert devices == {
        "aws-g5-spot": "a10g",
        "aws-g5-12xlarge-spot": "a10g",
        "gcp-l4-spot": "l4",
        "kuberay-gpu-cluster": "a10g",
        "lan-hosts": "rtx4090",
    }
    assert [name for name in devices if not (SHIPPED.parent / f"{name}.yaml").is_file()] == []
    assert prices.cluster("aws-g5-12xlarge-spot").per_hour(8) == pytest.approx(11.56)
    aws = prices.cluster("aws-g5-spot.yaml")
    assert aws.per_hour(8) == pytest.approx(8.36)
    assert aws.source.startswith("head: list price, on demand, us-west-2")
    assert prices.cluster("kuberay-gpu-cluster").per_hour(1) is None


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ({"price_per_hour": -1}, r"clusters\.mine\.yaml\.nodes\.1\.price_per_hour: .*greater than or equal to 0"),
        ({"cost": 3}, r"nodes\.1\.cost: extra inputs"),
        ({"device": None}, "has 0 kinds of node with a device"),
        ({"devices": 0}, "has no devices"),
        ({"device": "abacus"}, "the speed of a abacus is not known; there are a10g"),
        ({"source": ""}, "source"),
    ],
)
def test_what_is_no_price_is_refused(tmp_path: Path, worker: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_prices(_file(tmp_path, **worker))


def test_missing_files_and_clusters_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .* give a file like cluster/prices\.json"):
        load_prices(tmp_path / "none.json")
    with pytest.raises(InputError, match="has no cluster moon; there are mine"):
        load_prices(_file(tmp_path)).cluster("moon")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        load_prices(tmp_path / "broken.json")


def test_known_devices_say_where_their_figures_come_from() -> None:
    assert {"a10g", "a100", "h100", "l4", "rtx4090", "cpu"} <= set(known_devices())
    for name in known_devices():
        rate = known_rate(name.upper())
        assert rate.basis.startswith("assumed, not measured") == (not rate.measured)
        assert rate.at_width(8).training == pytest.approx(rate.training / 4)
        assert rate.at_width(64) == rate
    with pytest.raises(InputError, match="device abacus: its speed is not known"):
        known_rate("abacus")
