"""What a trial reports or keeps in; its run in the tracking store, brought in line, out. Used by the driver only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePath
from tempfile import gettempdir
from typing import Any, Protocol

from gkm.tracking import TrackingAwayError, TrialRun
from gkm.training.best import VALIDATION_NAME
from gkm.training.checkpoint import CONFIG_NAME, WEIGHTS_NAME
from gkm.training.scratch import scratch
from gkm.training.store import SUMMARY_NAME, TRACE_NAME, fetch_best, fetch_picture, list_pictures, read_profile

AWAY_SECONDS = 20.0
"""Between two tries to reach MLflow while it is away: training in the same process waits for each."""
_NOT_METRICS = ("epoch", "time", "note")


class Watcher(Protocol):
    """Whoever looks on while a trial is trained."""

    def stage(self, text: str) -> None:
        """What goes on now."""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """One more epoch was validated."""

    def note(self, text: str) -> None:
        """Something that a user should know."""


class Unwatched:
    """Nobody looks on."""

    def stage(self, text: str) -> None:
        pass

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Follower:
    """Writes each validated epoch to the trial's run once, however often it hears of it.

    While MLflow is away training goes on, and what is to be written waits, in order: the trial's store has it all.
    """

    def __init__(self, run: TrialRun, watcher: Watcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._watcher = watcher
        self._clock = clock
        self._epoch = 0
        self._notes: list[str] = []
        self._waiting: deque[Callable[[], None]] = deque()
        self._try_again: float | None = None
        """When; None: MLflow is there."""
        self.history: list[dict[str, float]] = []
        """All epochs heard of, in order."""

    def hear(self, metrics: Mapping[str, Any]) -> None:
        """One epoch, perhaps heard of before."""
        epoch = int(metrics["epoch"])
        if note := metrics.get("note"):
            self._heed(str(note))
        if epoch <= self._epoch:
            return
        self._epoch = epoch
        numbers = {name: float(value) for name, value in metrics.items() if name not in _NOT_METRICS}
        self._write(partial(self._run.log_epoch, epoch, numbers, metrics.get("time")))
        self.history.append({name: float(value) for name, value in metrics.items() if name != "note"})
        self._watcher.epoch(metrics)

    def catch_up(self, history: Iterable[Mapping[str, Any]], notes: Iterable[str] = ()) -> None:
        """All epochs, in order, and all that a user should know."""
        for metrics in history:
            self.hear(metrics)
        for note in notes:
            self._heed(note)

    def _heed(self, note: str) -> None:
        """Say a note, and have the run keep it, once."""
        if note not in self._notes:
            self._notes.append(note)
            self._write(partial(self._run.note, "; ".join(self._notes)))
            self._watcher.note(note)

    def _write(self, action: Callable[[], None]) -> None:
        """Write to the run, now or once MLflow is back."""
        self._waiting.append(action)
        if self._try_again is not None and self._clock() < self._try_again:
            return
        try:
            self.flush()
        except TrackingAwayError as error:
            if self._try_again is None:
                self._watcher.note(f"{error}: training goes on, and what is missed is sent later")
            self._try_again = self._clock() + AWAY_SECONDS

    def flush(self) -> None:
        """Write what waits; raises TrackingAwayError where MLflow is away."""
        while self._waiting:
            self._waiting[0]()
            self._waiting.popleft()
        if self._try_again is not None:
            self._try_again = None
            self._watcher.note("MLflow is back, and has what it missed")

    def keep_artifacts(self, place: str) -> None:
        """Copy the best weights, pictures and a profile from the store at `place` to the run, after all that waits.

        Raises InputError where the weights are missing or damaged, TrackingAwayError where MLflow is away.
        """
        self.flush()
        with scratch(Path(gettempdir()), "gkm-trial-") as folder:
            best = self.history[-1].get("best/epoch")
            if best is not None:
                weights = fetch_best(place, int(best), folder / "weights")
                for name in (WEIGHTS_NAME, CONFIG_NAME):
                    self._run.log_file(weights / name, "weights")
                self._run.log_file(weights / VALIDATION_NAME)
            if (profile := read_profile(place)) is not None:
                (folder / PurePath(TRACE_NAME).name).write_bytes(profile[0])
                (folder / PurePath(SUMMARY_NAME).name).write_text(profile[1])
                for name in (TRACE_NAME, SUMMARY_NAME):
                    self._run.log_file(folder / PurePath(name).name, "profile")
        times = {int(metrics["epoch"]): metrics.get("time") for metrics in self.history}
        for epoch in list_pictures(place):
            self._run.log_picture("validation", epoch, fetch_picture(place, epoch), times.get(epoch))
