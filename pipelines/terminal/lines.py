"""What goes on in; lines with the time in front out, so that a log is never silent for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Self

from rich.console import Console

from gkm.study.decisions.standing import duration
from gkm.study.single.ticker import Ticker
from pipelines.terminal.command import progress

if TYPE_CHECKING:
    from gkm.data.dataset.pair import Pair
    from gkm.data.reading.cache import CachedSplit
    from gkm.registry.promotion import Watch

QUIET_SECONDS = 30.0
"""The longest silence."""


class Lines:
    """Lines with the time in front; where none was printed for half a minute, `line` gives one."""

    def __init__(
        self, line: Callable[[], str], console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._line, self._clock = line, clock
        self._console = console or Console(highlight=False)
        self._ticker = Ticker("gkm-lines", self.tick, lambda: 1.0)
        self._said_at = clock()

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ticker.end()  # what is printed next comes after the last line from here

    def say(self, text: str) -> None:
        """Prints a line at once."""
        with (
            self._ticker.lock,
            suppress(RuntimeError),
        ):  # raised where a signal interrupts the very write of another line
            self._said_at = self._clock()
            stamp = datetime.now().isoformat(" ", "seconds")
            self._console.print(f"{stamp} {text}", markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Prints where things stand, if nothing was printed for long."""
        if self._clock() - self._said_at >= QUIET_SECONDS:
            self.say(self._line())


@contextmanager
def announced(text: str, *, aside: bool = False) -> Iterator[Watch]:
    """Says what goes on outside a study, and that it still does, for the length of a `with` block.

    Gives a function (label, items) that passes items on and shows how many of them are through. Without a terminal
    lines are on standard output; with `aside` on standard error, and none of what takes less than half a minute.
    """
    with progress() as bar:
        bar.add_task(text, total=None)
        if bar.console.is_terminal:
            yield lambda label, items: bar.track(items, description=label)
            return
    began, where = time.monotonic(), text

    def track(label: str, items: CachedSplit) -> Iterator[Pair]:
        nonlocal where
        for number, item in enumerate(items):
            where = f"{text}: {label}, {number} of {len(items)}"
            yield item
        where = text

    console = Console(stderr=True, highlight=False) if aside else None
    with Lines(lambda: f"{where}, {duration(time.monotonic() - began)} so far", console) as lines:
        if not aside:
            lines.say(text)
        yield track


@contextmanager
def counted(text: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
    """The same, aside, for what is counted; gives a function to tell how many more, out of `total`, are through."""
    with progress() as bar:
        task = bar.add_task(text, total=total)
        if bar.console.is_terminal:
            yield lambda more: bar.advance(task, more)
            return
    began, done = time.monotonic(), 0

    def advance(more: int) -> None:
        nonlocal done
        done += more

    of_all = "" if total is None else f" of {total}"
    console = Console(stderr=True, highlight=False)
    with Lines(lambda: f"{text}: {done}{of_all}, {duration(time.monotonic() - began)} so far", console):
        yield advance
