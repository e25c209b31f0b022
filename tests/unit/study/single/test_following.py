"""What a driver writes down of a trial: each epoch once, and what a user should know."""

from collections.abc import Mapping
from typing import Any

import pytest

from gkm.study.single.following import AWAY_SECONDS, Follower, Unwatched
from gkm.tracking import TrackingAwayError


class Run:
    """A run that remembers."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.notes: list[str] = []
        self.away = False
        self.asked = 0

    def log_epoch(self, epoch: int, metrics: Mapping[str, float], timestamp: float | None) -> None:
        self.asked += 1
        if self.away:
            raise TrackingAwayError("http://127.0.0.1:9: MLflow cannot be used now (it does not answer)")
        self.epochs.append(epoch)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Watcher(Unwatched):
    """One that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_notes_are_said_once_and_stay_with_the_run_however_they_come() -> None:
    run, watcher = Run(), Watcher()
    follower = Follower(run, watcher)  # type: ignore[arg-type]
    first: dict[str, Any] = {"epoch": 1.0, "val/psnr": 30.0}
    follower.hear({**first, "note": "one was damaged"})
    follower.catch_up([first, {"epoch": 2.0, "val/psnr": 31.0}], ["one was damaged", "other code"])
    follower.catch_up([], ["one was damaged", "other code"])
    assert run.epochs == [1, 2]
    assert watcher.said == ["one was damaged", "other code"]
    assert run.notes[-1] == "one was damaged; other code"
    assert all("note" not in metrics for metrics in follower.history)


def test_while_mlflow_is_away_epochs_wait_and_are_sent_in_order() -> None:
    run, watcher, now = Run(), Watcher(), [0.0]
    follower = Follower(run, watcher, lambda: now[0])  # type: ignore[arg-type]
    follower.hear({"epoch": 1.0})
    run.away = True
    for epoch in (2.0, 3.0, 4.0):
        follower.hear({"epoch": epoch})
    assert run.epochs == [1]
    assert run.asked == 2, "not asked again at once"
    (said,) = watcher.said
    assert said.endswith("(it does not answer): training goes on, and what is missed is sent later")
    with pytest.raises(TrackingAwayError):
        follower.flush()
    run.away = False
    now[0] += AWAY_SECONDS
    follower.hear({"epoch": 5.0})
    assert run.epochs == [1, 2, 3, 4, 5]
    assert watcher.said[1:] == ["MLflow is back, and has what it missed"]
    assert [metrics["epoch"] for metrics in follower.history] == [1, 2, 3, 4, 5]
