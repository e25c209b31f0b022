"""Groups of workers: the sizes they may have, what a batch must be divided by, how long they wait for room."""

import importlib

import pytest

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.execution.placement import needs
from gkm.study.execution.workers import WorkerGroup, await_room

CONFIG = TrialConfig().with_values({"data.batch_size": 4})


def test_a_group_of_a_fixed_size_has_one_size() -> None:
    group = WorkerGroup(4)
    assert list(group.sizes) == [4]
    assert not group.is_elastic
    assert str(group) == "4 workers"
    group.check(CONFIG)


def test_every_size_of_an_elastic_group_has_to_divide_the_batch() -> None:
    group = WorkerGroup(4, least=2)
    assert list(group.sizes) == [2, 3, 4]
    assert needs(group, 2) == {"CPU": 2.01}
    with pytest.raises(InputError) as refused:
        group.check(CONFIG)
    assert str(refused.value) == (
        "data.batch_size = 4 cannot be divided among 3 workers; for a group of 2 to 4 workers use a multiple of 12"
    )
    group.check(CONFIG.with_values({"data.batch_size": 12}))
    WorkerGroup(2, least=1).check(CONFIG)
    assert WorkerGroup(2, least=1).tune_resources() == {"CPU": 0.01}


def test_what_needs_a_gpu_is_refused_where_workers_get_none() -> None:
    config = CONFIG.with_values({"training.precision": "tf32"})
    with pytest.raises(InputError, match=r"^training\.precision = tf32 needs a GPU"):
        WorkerGroup(2).check(config)
    WorkerGroup(2, gpus=1).check(config)


@pytest.mark.parametrize("comes", [True, False])
def test_room_is_asked_for_and_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch, comes: bool) -> None:
    asked: list[object] = []

    class Room:
        def __init__(self, bundles: list[dict[str, float]], strategy: str) -> None:
            asked.append(bundles)

        def wait(self, seconds: float) -> bool:
            asked.append(seconds)
            return comes

    groups = importlib.import_module("ray.util.placement_group")  # a function of that name hides it
    monkeypatch.setattr(groups, "placement_group", Room)
    monkeypatch.setattr(groups, "remove_placement_group", lambda room: asked.append("given back"))
    group = WorkerGroup(4, gpus=1.0, least=2, patience_minutes=30)
    if comes:
        await_room(group)
    else:
        with pytest.raises(InputError, match=r"no room for 2 workers of 1 CPU, 1 GPU each within 30 minutes; use"):
            await_room(group)
    assert asked == [[{"CPU": 1.0, "GPU": 1.0}] * 2, 1800.0, "given back"]
