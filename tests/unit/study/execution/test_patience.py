"""How long a group of workers waits for nodes while it is trained."""

from pathlib import Path

import pytest
from ray.train import ControllerError, RunConfig

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.execution import workers
from gkm.study.execution.patience import NoRoomError, Patience
from gkm.study.execution.workers import WorkerGroup, fit_on_workers

CONFIG = TrialConfig().with_values({"data.batch_size": 12})


class Clock:
    """Time goes on while somebody sleeps, and when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_group_that_waits_too_long_gives_up_and_one_that_got_on_waits_anew() -> None:
    clock = Clock()
    patience = Patience(60.0, clock, clock.sleep)
    running, waiting = object(), object()
    patience.after_controller_state_update(running, waiting)
    _wait(patience, waiting, 59)
    patience.after_controller_state_update(waiting, running)
    clock.now += 1000  # the group trains
    patience.after_controller_state_update(running, waiting)
    began = clock.now
    with pytest.raises(NoRoomError):
        _wait(patience, waiting, 100)
    assert clock.now == pytest.approx(began + 60, abs=1)


def _wait(patience: Patience, state: object, seconds: float) -> None:
    """The controller looks twice a second, and stays in the same state."""
    for _ in range(int(2 * seconds)):
        patience.after_controller_state_update(state, state)


def test_ray_takes_it() -> None:
    assert RunConfig(callbacks=[Patience(1.0)]).callbacks


def test_what_it_ends_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "await_room", lambda group: None)
    monkeypatch.setattr(workers, "_fit", _give_up)
    group = WorkerGroup(4, least=2, patience_minutes=30)
    with pytest.raises(
        InputError, match=r"^nodes were lost: the cluster had no room for 2 workers of 1 CPU each within"
    ):
        fit_on_workers(group, CONFIG, "nowhere", str(tmp_path), None, name="trial")


def _give_up(*arguments: object) -> None:
    raise ControllerError(NoRoomError("no room within 1800 seconds"))
