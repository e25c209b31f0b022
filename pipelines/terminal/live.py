"""A study under way in; a table that lives on a terminal out, or elsewhere a plain line for everything that happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gkm.study.decisions.standing import Standing, duration
from gkm.study.record.statuses import ENDED
from pipelines.terminal import live_table
from pipelines.terminal.command import keeping_signals
from pipelines.terminal.lines import Lines

if TYPE_CHECKING:
    from gkm.data.dataset.dataset import Dataset
    from gkm.study.execution.opening import Study
    from gkm.study.execution.run import Outcome
    from gkm.study.record.results import StudyResults, TrialRow

MOST_ROWS = 24
"""Trials that are shown one by one; of more, those running, the best and the newest ended."""
MOST_NAMED = 6
"""Running trials that a plain line names."""


class Progress:
    """Shows how a study goes, as a `gkm.study.execution.run.Watcher`; open it with `with`."""

    def __init__(self, name: str, standing: Standing, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._standing, self._clock = name, standing, clock
        self._stage: tuple[str, float] | None = ("reading the data, scoring the blurred photographs", clock())
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def began(self, results: StudyResults, epochs: int) -> None:
        """The study as it is before anything is trained."""
        self._stage = None
        self._standing.begin(results, epochs)

    def trial(self, row: TrialRow) -> None:
        """A trial as it now stands."""
        before = self._standing.update(row)
        if row.status in ENDED and (before is None or before.status != row.status):
            # The line that follows about the same need not be printed as well.
            self._told.add(f"trial {row.number}: {row.status}{f': {row.reason}' if row.reason else ''}")
            self._ended(row)
        elif row.status == "running" and (before is None or before.status == "waiting"):
            self._started(row)

    def said(self, text: str) -> None:
        """A line about what happened."""
        if text not in self._told:
            self._say(text)

    def tick(self) -> None:
        """Called some times a second."""

    def ended(self, results: StudyResults) -> None:
        """The study as it is after this run."""
        for row in results.trials:
            self._standing.update(row)

    @contextmanager
    def announced(self, text: str) -> Iterator[None]:
        """Says what goes on, and that it still does, for the length of a `with` block."""
        before, self._stage = self._stage, (text, self._clock())
        self._entered(text)
        try:
            yield
        finally:
            self._stage = before

    def _stage_line(self) -> str:
        if self._stage is None:
            return ""
        text, since = self._stage
        return f"{text}, {duration(self._clock() - since)} so far"

    def _say(self, text: str) -> None: ...
    def _entered(self, text: str) -> None: ...
    def _started(self, row: TrialRow) -> None: ...
    def _ended(self, row: TrialRow) -> None: ...


class Terminal(Progress):
    """A table on standard error that is drawn again four times a second, the last one to stay."""

    def __init__(
        self, name: str, standing: Standing, console: Console | None = None, **more: Callable[[], float]
    ) -> None:
        super().__init__(name, standing, **more)
        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, get_renderable=self.table, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def table(self) -> RenderableType:
        """What is on the screen now."""
        standing = self._standing
        parts: list[RenderableType] = []
        if standing.results is not None:
            parts += [Text(line) for line in live_table.header(self._name, standing)]
            if standing.rows:
                parts.append(live_table.table(standing, self._chosen()))
        if self._stage is not None:
            parts.append(Text(self._stage_line(), style="dim"))
        return Group(*parts)

    def _chosen(self) -> list[tuple[str, list[TrialRow]]]:
        """(heading, trials) for each section of the table."""
        standing = self._standing
        if len(standing.rows) <= max(10, min(MOST_ROWS, self._console.height - 8)):
            return [("", standing.rows)]
        running = standing.running
        room = max(3, self._console.height - 20)
        rest = len(running) - room
        heading = f"running (and {rest} more)" if rest > 0 else "running"
        return [(heading, running[:room]), ("best", standing.ranked[:5]), ("newest", standing.newest_ended[:5])]

    def _say(self, text: str) -> None:
        with suppress(RuntimeError):  # raised where a signal interrupts the very write of something else
            self._console.print(text, markup=False, soft_wrap=True)

    def _ended(self, row: TrialRow) -> None:
        if row.status in ("failed", "refused"):
            self._say(f"trial {row.number} {row.status}: {row.reason}")


class Log(Progress):
    """A plain line on standard output for everything that happens, and for nothing every half minute."""

    def __init__(
        self, name: str, standing: Standing, console: Console | None = None, **more: Callable[[], float]
    ) -> None:
        super().__init__(name, standing, **more)
        self._lines = Lines(self.line, console, **more)

    def __enter__(self) -> Self:
        self._lines.__enter__()
        if self._stage is not None:
            self._say(f"study {self._name}: {self._stage[0]}")
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.__exit__(*error)

    def began(self, results: StudyResults, epochs: int) -> None:
        super().began(results, epochs)
        standing = self._standing
        trials = "trials" if standing.trials is None else f"{standing.trials} trials"
        blurred = "" if standing.blurred is None else f"; the blurred photographs have {standing.blurred:.2f} dB"
        self._say(f"study {self._name}: {trials} of at most {epochs} epochs{blurred}")
        if standing.rows:
            self._say(f"going on: {results.summary()}")

    def tick(self) -> None:
        self._lines.tick()

    def line(self) -> str:
        """Where the study stands."""
        standing = self._standing
        if self._stage is not None or standing.results is None:
            return self._stage_line() or "getting ready"
        running = [f"trial {row.number} {live_table.progress(row, standing)}" for row in standing.running]
        if len(running) > MOST_NAMED:
            running[MOST_NAMED:] = [f"and {len(running) - MOST_NAMED} more"]
        parts = [f"running: {', '.join(running) or 'no trial'}", f"{standing.progress} done"]
        if (left := standing.seconds_left_in_all()) is not None:
            parts.append(f"about {duration(left)} left")
        return "; ".join(parts)

    def _say(self, text: str) -> None:
        self._lines.say(text)

    def _entered(self, text: str) -> None:
        self._say(text)

    def _started(self, row: TrialRow) -> None:
        confirms = f", confirms trial {row.group}" if row.phase == "confirm" else ""
        self._say(f"trial {row.number} started{confirms}: {live_table.settings(row, named=True)}, seed {row.seed}")

    def _ended(self, row: TrialRow) -> None:
        where = f" at epoch {row.epochs} of {self._standing.epochs}" if row.epochs else ""
        parts = [f"trial {row.number} {row.status}{where}"]
        if row.best_epoch is not None and row.status != "failed":
            gain = self._standing.gain(row)
            over = "" if gain is None else f" ({gain:+.2f} dB over the blurred input)"
            parts.append(f"{live_table.value(row, self._standing)}{over}")
        if row.reason:
            parts.append(row.reason)
        self._say("; ".join(parts))


def watching(name: str, standing: Standing) -> Progress:
    """What shows a study where this process runs."""
    console = Console(stderr=True, highlight=False)
    return Terminal(name, standing, console) if console.is_terminal else Log(name, standing)


def run_watched(study: Study, ray_address: str, dataset: Dataset | None = None) -> Outcome:
    """Run `study`, or go on with it, in a Ray session at `ray_address`, and show how it goes."""
    from gkm.study.execution.placement import local_cpus
    from gkm.study.execution.run import run_study
    from gkm.study.execution.session import start_ray

    @contextmanager
    def session() -> Iterator[None]:
        with ExitStack() as stack:
            with watcher.announced("starting Ray"), keeping_signals():
                stack.enter_context(start_ray(ray_address, local_cpus(study.workers)))
            yield

    with watching(study.name, Standing(study.space, study.confirm, study.price_per_hour)) as watcher:
        outcome = run_study(study, session, watcher, dataset)
        watcher.ended(outcome.results)
    return outcome
