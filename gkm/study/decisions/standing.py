"""A study under way in; where it stands, what it has spent and how long it will take out."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import fmean

from gkm.study.design.budget import Spent
from gkm.study.design.design import Design
from gkm.study.design.objective import PSNR
from gkm.study.design.space import SearchSpace
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import ENDED, SCORED


class Standing:
    """Follows a study from its first results on, trial by trial."""

    def __init__(
        self,
        design: Design,
        confirm: int | None = None,
        price_per_hour: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.searched, self.confirmed = expected_trials(design, confirm)
        self.results: StudyResults | None = None
        """As it stood at the start of this process; None before."""
        self.epochs = design.base.training.epochs
        self.blurred: float | None = None
        """Mean PSNR in dB of the blurred validation photographs."""
        self._price, self._clock = price_per_hour, clock
        self._began = clock()
        self._rows: dict[int, TrialRow] = {}
        self._running: set[int] = set()
        self._heard: dict[int, float] = {}
        self._most_running = 1

    def begin(self, results: StudyResults, epochs: int) -> None:
        """The study as it is before anything is trained."""
        self.results, self.epochs, self._began = results, epochs, self._clock()
        self.blurred = fmean(results.blurred) if results.blurred else None
        for row in results.trials:
            self.update(row)

    def update(self, row: TrialRow) -> TrialRow | None:
        """A trial as it now stands; returns how it stood before."""
        before = self._rows.get(row.number)
        self._rows[row.number], self._heard[row.number] = row, self._clock()
        (self._running.add if row.status == "running" else self._running.discard)(row.number)
        self._most_running = max(self._most_running, len(self._running))
        return before

    @property
    def rows(self) -> list[TrialRow]:
        """All trials that have begun, by number."""
        return sorted((row for row in list(self._rows.values()) if row.status != "waiting"), key=lambda row: row.number)

    @property
    def running(self) -> list[TrialRow]:
        return [self._rows[number] for number in sorted(self._running.copy())]  # by another thread

    @property
    def newest_ended(self) -> list[TrialRow]:
        """Trials that have ended, the last one first."""
        ended = [row for row in self.rows if row.status in ENDED]
        return sorted(ended, key=lambda row: -self._heard[row.number])

    @property
    def ranked(self) -> list[TrialRow]:
        """Trials with a value, best first."""
        scored = [row for row in self.rows if row.best_epoch is not None and row.status != "failed"]
        sign = -1 if self.results is None or self.results.mode == "max" else 1
        return sorted(scored, key=lambda row: (sign * row.score, row.number))

    @property
    def done(self) -> int:
        """Trials that have ended, refused ones apart."""
        return sum(1 for row in self.rows if row.status in ENDED and row.status != "refused")

    @property
    def trials(self) -> int | None:
        """Trials in all; None where their number has no limit."""
        if self.searched is None:
            return None
        begun = [row.phase for row in self.rows if row.status != "refused"]
        return max(self.searched, begun.count("search")) + max(self.confirmed, begun.count("confirm"))

    @property
    def progress(self) -> str:
        """Trials that have ended, such as "5 of 8"."""
        return str(self.done) if self.trials is None else f"{self.done} of {self.trials}"

    def gain(self, row: TrialRow) -> float | None:
        """dB gained over the blurred photographs; None where that is not known, or not what is searched by."""
        if self.blurred is None or row.metric != PSNR.metric or row.best_epoch is None:
            return None
        return row.score - self.blurred

    @property
    def spent(self) -> Spent:
        """What the study has used so far, over all its starts."""
        before = Spent() if self.results is None else self.results.spent
        hours = (self._clock() - self._began) / 3600 if self.results else 0.0
        leads = sum(
            1 for row in self.rows if row.group == row.number and row.phase == "search" and row.status != "refused"
        )
        epochs = sum(row.epochs for row in self.rows)
        return Spent(leads, epochs, before.hours + hours, before.cost + hours * self._price)

    def seconds_left(self, row: TrialRow) -> float | None:
        """How long a running trial will take if it is not stopped; None while nothing is known."""
        rate = row.seconds / row.epochs if row.epochs and row.seconds else self._seconds_per_epoch()
        if rate is None:
            return None
        waited = min(rate, self._clock() - self._heard[row.number])
        return max(0.0, rate * (self.epochs - row.epochs) - waited)

    def seconds_left_in_all(self) -> float | None:
        """How long the study will take, if trials to come are like those so far; None while nothing is known."""
        rate = self._seconds_per_epoch()
        if rate is None or self.results is None:
            return None
        budget, spent, limits = self.results.budget, self.spent, []
        if budget.hours is not None:
            limits.append(max(0.0, budget.hours - spent.hours) * 3600)
        if budget.cost is not None and self._price:
            limits.append(max(0.0, budget.cost - spent.cost) / self._price * 3600)
        if budget.epochs is not None:
            limits.append(max(0, budget.epochs - spent.epochs) * rate / self._most_running)
        if (epochs := self._epochs_to_come()) is not None:
            longest = max((self.seconds_left(row) or 0.0 for row in self.running), default=0.0)
            limits.append(max(longest, epochs * rate / self._most_running))
        return min(limits, default=None)

    def _epochs_to_come(self) -> float | None:
        """Epochs still to be trained; None where the number of trials has no limit."""
        if self.searched is None:
            return None
        ended = [row.epochs for row in self.rows if row.phase == "search" and row.status in SCORED]
        usual = fmean(ended) if ended else float(self.epochs)
        running = sum(
            (usual if row.epochs < usual and row.phase == "search" else self.epochs) - row.epochs
            for row in self.running
        )
        begun = [row.phase for row in self.rows if row.status != "refused"]
        searched = max(0, self.searched - begun.count("search"))
        confirmed = max(0, self.confirmed - begun.count("confirm"))
        return running + searched * usual + confirmed * self.epochs

    def _seconds_per_epoch(self) -> float | None:
        timed = [row for row in self.rows if row.epochs and row.seconds]
        return sum(row.seconds for row in timed) / sum(row.epochs for row in timed) if timed else None


def expected_trials(design: Design, confirm: int | None = None) -> tuple[int | None, int]:
    """How many trials a study searches with (None: no limit), and how many confirm its best settings."""
    seeds = len(design.training_seeds)
    if not isinstance(design, SearchSpace):
        return len(design.settings) * seeds, 0
    settings = design.limits.trials
    best = design.confirm if confirm is None else confirm
    best = best if settings is None else min(best, settings)
    searched = None if settings is None else settings * (1 if "training.seed" in design.parameters else seeds)
    may_confirm = best > 1 and len(design.objectives) == 1 and "training.seed" not in design.parameters
    return searched, best * design.confirm_seeds if may_confirm else 0


def duration(seconds: float) -> str:
    """Seconds, for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def short(value: object) -> str:
    """A setting's value, for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
