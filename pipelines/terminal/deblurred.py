"""Photographs that are restored, one after the other, in; lines of text or JSON, progress and an exit status out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.terminal.command import leave, say, timed_progress, warn

if TYPE_CHECKING:
    from gkm.restoration.batch import Outcome
    from gkm.restoration.inputs import Job

Tell = Callable[[str], None]
"""Prints a line of result."""


class Report:
    """What became of the photographs, line by line, and at the end."""

    def __init__(self, as_json: bool, dry_run: bool, total: int) -> None:
        self.as_json, self.dry_run, self.total = as_json, dry_run, total
        self.model_name: str | None = None
        """What restores; None while nothing is to be restored."""
        self.version: int | None = None
        self.counts = {"restored": 0, "kept": 0, "refused": 0}

    def tell(self, outcome: Outcome, tell: Tell) -> None:
        """Prints what became of one."""
        self.counts[outcome.status] += 1
        if self.as_json:
            tell(json.dumps(self._fields(outcome)))
        elif outcome.status == "refused":
            warn(f"left out: {_readable(outcome.reason)}")
        else:
            kept = " (kept)" if outcome.status == "kept" else ""
            for output in outcome.job.outputs:
                tell(f"{_readable(output)}{kept}")

    def end(self, ignored: int) -> None:
        """Prints what became of all; leaves with status 2 where some were refused."""
        if not self.as_json:
            say("; ".join([self._done(), *self._kept(), *([f"{ignored} other files ignored"] if ignored else [])]))
        if refused := self.counts["refused"]:
            rest = "" if self.dry_run else "; the others are restored"
            leave(f"error: {refused} of {self.total} photographs cannot be used{rest}", 2)

    def _done(self) -> str:
        if self.dry_run:
            return f"would deblur {self.counts['restored']} of {self.total} photographs"
        return "nothing left to deblur" if self.model_name is None else f"deblurred with {self.model_name}"

    def _kept(self) -> list[str]:
        kept = self.counts["kept"]
        return [f"{kept} of before kept (--overwrite replaces them)"] if kept else []

    def _fields(self, outcome: Outcome) -> dict[str, object]:
        first, *others = map(str, outcome.job.files)
        fields: dict[str, object] = {"path": first, **({"right": others[0]} if others else {})}
        if outcome.status == "refused":
            return {**fields, "status": "refused", "reason": outcome.reason}
        fields |= {"output": str(outcome.job.target), "status": "planned" if self.dry_run else outcome.status}
        if outcome.job.comparison:
            fields["comparison"] = str(outcome.job.comparison)
        if outcome.size:
            fields |= {"size": list(outcome.size), "bits": outcome.bits}
        if outcome.status == "restored" and self.model_name is not None:
            fields |= {"seconds": round(outcome.seconds, 3), "model": self.model_name, "version": self.version}
        return fields


@contextmanager
def shown(todo: Sequence[Job]) -> Iterator[tuple[Callable[[Outcome], None], Tell]]:
    """Progress by pixels with the time that is left; gives what moves it on, and what prints lines beside it."""
    from gkm.restoration.batch import pixels_of

    with timed_progress() as bar:
        sizes = {job: pixels_of(job) for job in todo} if bar.console.is_terminal else {}
        task = bar.add_task("", total=sum(sizes.values()))
        through = 0

        def advance(outcome: Outcome) -> None:
            nonlocal through
            if outcome.job in sizes:
                through += 1
            here = f"deblurring {min(through + 1, len(todo))} of {len(todo)}"
            bar.update(task, advance=sizes.get(outcome.job, 0), description=here)

        bar.update(task, description=f"deblurring 1 of {len(todo)}")
        both = bar.console.is_terminal and sys.stdout.isatty()
        yield (
            advance,
            (lambda text: bar.console.print(text, highlight=False, markup=False, soft_wrap=True)) if both else say,
        )


def _readable(path: object) -> str:
    """A name that can be printed, whatever bytes it has."""
    return os.fsencode(str(path)).decode(errors="replace")
