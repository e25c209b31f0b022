"""What a driver writes down of a trial: each epoch once, and what a user should know."""

from collections.abc import Mapping
from typing import Any

from gkm.study.single.following import Follower, Unwatched


class Run:
    """A run that remembers."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.notes: list[str] = []

    def log_epoch(self, epoch: int, metrics: Mapping[str, float], timestamp: float | None) -> None:
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
