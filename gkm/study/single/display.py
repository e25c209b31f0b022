"""A trial under way in; a bar on a terminal out, or else a plain line for every epoch and every half minute."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gkm.study.single.ticker import Ticker

LINE_SECONDS = 30.0
EPOCH_SECONDS = 2.0
"""Least time between the lines of two epochs: quicker ones share a line. The last epoch always has one."""


class TrainingDisplay:
    """Shows how far training is, on standard error; a `Watcher` of `gkm.study.single.following`."""

    def __init__(self, epochs: int, console: Console | None = None, line_seconds: float = LINE_SECONDS) -> None:
        self._epochs = epochs
        self._console = console or Console(stderr=True, highlight=False)
        self._line_seconds = line_seconds
        self._stage, self._since, self._said = "getting ready", time.monotonic(), 0.0
        self._epoch_said = float("-inf")
        self._newest: Mapping[str, Any] = {}
        self._ticker = Ticker("gkm-display", self._tick, lambda: max(0.0, self._quiet_until() - time.monotonic()))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(self._stage, total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        if not self._console.is_terminal:
            self._said = time.monotonic()
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.end()  # what is printed next comes after the last line from here
        self._bar.stop()

    def stage(self, text: str) -> None:
        """What goes on now, such as "starting 2 workers"."""
        self._stage, self._since = text, time.monotonic()
        self._bar.update(self._task, description=text)
        self._say(text)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """One more epoch was validated."""
        self._newest, self._since = metrics, time.monotonic()
        self._bar.update(
            self._task, completed=metrics["epoch"], total=self._epochs, description=f"training: {_figures(metrics)}"
        )
        if metrics["epoch"] >= self._epochs or time.monotonic() - self._epoch_said >= EPOCH_SECONDS:
            self._epoch_said = time.monotonic()
            self._say(self.line())

    def note(self, text: str) -> None:
        """Something that a user should know."""
        self._console.print(text, markup=False, soft_wrap=True)

    def line(self) -> str:
        """Where training stands, in one line."""
        quiet = time.monotonic() - self._since
        if not self._newest:
            return f"{self._stage}: {_duration(quiet)} so far"
        epoch, newest = int(self._newest["epoch"]), self._newest
        left = newest["seconds"] / epoch * (self._epochs - epoch)
        text = f"epoch {epoch} of {self._epochs}: {_figures(newest)}, about {_duration(left)} left"
        return text if quiet < self._line_seconds else f"{text} (next epoch under way for {_duration(quiet)})"

    def _quiet_until(self) -> float:
        return self._said + self._line_seconds

    def _tick(self) -> None:
        if time.monotonic() >= self._quiet_until():
            self._say(self.line())

    def _say(self, text: str) -> None:
        if self._console.is_terminal:
            return
        with self._ticker.lock:
            if self._ticker.ended:
                return
            self._said = time.monotonic()
            self._console.print(text, markup=False, soft_wrap=True)


def _figures(metrics: Mapping[str, Any]) -> str:
    """What an epoch gave, and how fast; epochs of before speed was measured do without it."""
    text = f"loss {metrics['train/loss']:.5f}, validation {metrics['val/psnr']:.2f} dB"
    if (speed := metrics.get("system/crops_per_second")) is not None:
        text += f", {speed:.3g} crops/s, {metrics['system/data_wait_percent']:.0f} % of the time waiting for data"
    return text


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
