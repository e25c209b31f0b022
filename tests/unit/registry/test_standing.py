"""The history and the aliases: entries have places of their own, and the aliases follow them, whoever dies between."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gkm.errors import InputError
from gkm.registry import ledger, standing
from gkm.registry.versions import aliases
from gkm.tracking import Tracking

Add = Callable[..., int]


def promotion(version: int, **changes: Any) -> dict[str, Any]:
    return {"event": "promoted", "time": "t", "version": version, "aliases": changes or {"champion": version}}


def in_mlflow(tracking: Tracking) -> dict[str, int]:
    return {a: int(n) for a, n in tracking.client.get_registered_model("gkmnet").aliases.items()}


def test_of_two_that_write_at_the_same_place_one_is_told_that_it_did_not(tracking: Tracking, add_version: Add) -> None:
    add_version(), add_version()
    one = two = standing.read(tracking)
    assert standing.change(tracking, one, promotion(1))
    assert not standing.change(tracking, two, promotion(2))
    assert in_mlflow(tracking) == {"champion": 1}
    entries = standing.read(tracking).history.entries
    assert [entry["version"] for entry in entries] == [1]
    assert standing.change(tracking, standing.read(tracking), promotion(2))
    assert [entry["version"] for entry in standing.read(tracking).history.entries] == [1, 2]


def test_what_a_process_that_died_left_undone_holds_and_is_done_next(tracking: Tracking, add_version: Add) -> None:
    for _ in range(3):
        add_version()
    assert standing.change(tracking, standing.read(tracking), promotion(1))
    # It died after the entry: no alias was set.
    assert ledger.append(tracking, standing.read(tracking).history, promotion(2, champion=2, previous=1))
    assert in_mlflow(tracking) == {"champion": 1}
    assert aliases(tracking) == {"champion": 2, "previous": 1}
    # The next change does both.
    assert standing.change(tracking, standing.read(tracking), promotion(3, challenger=3))
    assert in_mlflow(tracking) == {"champion": 2, "previous": 1, "challenger": 3}
    assert standing.read(tracking).unsettled == ()


def test_aliases_of_a_slow_process_are_set_right_again(tracking: Tracking, add_version: Add) -> None:
    add_version(), add_version()
    for version in (1, 2):
        assert standing.change(tracking, standing.read(tracking), promotion(version))
    # One that was suspended before it set what entry 1 says.
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    tracking.client.set_registered_model_tag("gkmnet", "gkm.settled", "1")
    assert aliases(tracking)["champion"] == 2
    standing.settle(tracking)
    assert in_mlflow(tracking) == {"champion": 2}


@pytest.mark.parametrize("letter", ["x", "🌸"])
def test_an_entry_however_long_is_read_again_with_what_it_decides(
    tracking: Tracking, add_version: Add, letter: str
) -> None:
    add_version()
    why, data = letter * 7000, [{"photographs_id": "p" * 12}]
    entry = {**promotion(1), "reason": why, "why": why, "data": data, "tags": {"gkm.last_event": why}}
    assert standing.change(tracking, standing.read(tracking), entry)
    (kept,) = standing.read(tracking).history.entries
    assert why.startswith(kept["why"])
    assert len(kept["why"]) >= 60
    assert (kept["version"], kept["data"], in_mlflow(tracking)) == (1, data, {"champion": 1})


def test_an_alias_moved_by_hand_counts(tracking: Tracking, add_version: Add) -> None:
    add_version(), add_version()
    assert standing.change(tracking, standing.read(tracking), promotion(1))
    tracking.client.set_registered_model_alias("gkmnet", "champion", "2")
    assert aliases(tracking) == {"champion": 2}
    standing.settle(tracking)
    assert in_mlflow(tracking) == {"champion": 2}


def test_an_entry_about_a_version_that_was_deleted_since_stops_nobody(tracking: Tracking, add_version: Add) -> None:
    add_version(), add_version()
    entry = {**promotion(7, champion=7, previous=1), "tags": {"gkm.promoted": "t"}}
    assert ledger.append(tracking, standing.read(tracking).history, entry)
    standing.settle(tracking)
    assert in_mlflow(tracking) == {"previous": 1}


def test_a_registry_of_before_gets_a_history_and_keeps_its_aliases(tracking: Tracking) -> None:
    tracking.client.create_registered_model("gkmnet")
    tracking.client.create_model_version("gkmnet", "file:///nowhere")
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    assert aliases(tracking) == {"champion": 1}
    run_id = ledger.ensure(tracking)
    assert ledger.ensure(tracking) == run_id
    assert len(tracking.find({"gkm.kind": "registry"})) == 1
    assert standing.change(tracking, standing.read(tracking), promotion(1, challenger=1))
    assert in_mlflow(tracking) == {"champion": 1, "challenger": 1}


def test_a_history_that_was_deleted_is_said(tracking: Tracking, add_version: Add) -> None:
    add_version()
    run_id = ledger.ensure(tracking)
    tracking.client.delete_run(run_id)
    with pytest.raises(InputError, match=f"mlflow runs restore --run-id {run_id}"):
        aliases(tracking)


def test_a_long_entry_leaves_out_figures_and_keeps_the_decision(tracking: Tracking, add_version: Add) -> None:
    add_version()
    gates = [[f"gate {number}", True, "x" * 300] for number in range(30)]
    entry = {**promotion(1), "gates": gates, "reason": "y" * 9000, "data": [{"look": 1}]}
    assert standing.change(tracking, standing.read(tracking), entry)
    (kept,) = standing.read(tracking).history.entries
    assert len(json.dumps(kept)) < 6000
    assert (kept["gates"][29], kept["data"], kept["aliases"]) == (["gate 29", True, ""], [{"look": 1}], {"champion": 1})


def test_a_tag_that_another_process_makes_at_the_same_moment_is_set_again(
    tracking: Tracking, add_version: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    add_version()
    call, raced = Tracking.call, []

    def racing(self: Tracking, operation: str, *arguments: Any, **keywords: Any) -> Any:
        if operation == "set_model_version_tag" and not raced:
            raced.append(operation)
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: model_version_tags.key")
        return call(self, operation, *arguments, **keywords)

    monkeypatch.setattr(Tracking, "call", racing)
    assert standing.change(tracking, standing.read(tracking), {**promotion(1), "tags": {"gkm.promoted": "t"}})
    assert raced == ["set_model_version_tag"]
    assert tracking.client.get_model_version("gkmnet", "1").tags == {"gkm.promoted": "t"}
