"""The decisions of a study, without a cluster: which trial next, who goes on, what an end means; all on record.

An executor asks `next_trial`, passes on what trials report and how they end, and does what it is told. It may die at
any moment: everything it needs to go on is in the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import TrialState

from gkm.config import TrialConfig
from gkm.study.decisions.accounts import Accounts
from gkm.study.decisions.proposals import Complexity, Proposals
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.design import Design
from gkm.study.design.space import SearchSpace
from gkm.study.record.record import Record
from gkm.study.record.results import TrialRow

RETRIES = 3
"""Times that a trial is started again after its process died without having finished another epoch."""
MOST_REFUSED = 200
"""Settings that a constraint may refuse one after the other before the study ends."""

Ending = Literal["diverged", "environment", "crashed"]
"""Why a trial failed: its settings (nothing helps), what it runs in (the study stops, to be mended), or its process."""


@dataclass(frozen=True)
class Assignment:
    """A trial to train, from its newest checkpoint on if it has one."""

    number: int
    config: TrialConfig
    place: str
    known_epoch: int
    """The last epoch on record."""


class _Wait:
    """Nothing to hand out now; later perhaps."""


WAIT = _Wait()


@dataclass
class Events:
    """What a conductor tells its surroundings; each may be replaced."""

    trial: Callable[[TrialRow], None] = lambda row: None
    """A trial as it now stands."""
    said: Callable[[str], None] = lambda text: None
    """A line about what happened."""


class Conductor:
    """Runs one study over its record."""

    def __init__(
        self,
        record: Record,
        design: Design,
        *,
        seed: int = 0,
        confirm: int | None = None,
        complexity: Complexity | None = None,
        photographs: Callable[[TrialRow], Sequence[float] | None] | None = None,
        events: Events | None = None,
        price_per_hour: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record, self.design = record, design
        self.budget: Budget = design.limits
        self.epochs = design.base.training.epochs
        self.stopping_reason: str | None = None
        """Why no more trials are handed out and those running are to end; None while all goes on."""
        self.failure: str | None = None
        """What has to be mended before the study can go on."""
        self._confirm = design.confirm if confirm is None else confirm
        self._proposals = Proposals(record, design, seed, complexity)
        self._photographs = photographs
        self._events = events or Events()
        self._in_flight: set[int] = set()
        self._curves = {number: record.curve(number) for number in record.numbers}
        self._rivals = {n: curve for n, curve in self._curves.items() if curve and self._is_searched(n)}
        """What stopping rules go by: trials that search and have reported."""
        self._accounts = Accounts(record, price_per_hour, clock)

    # What an executor calls

    def next_trial(self) -> Assignment | _Wait | None:
        """The next trial to train; WAIT while it depends on those running; None when there is nothing left to start."""
        self._accounts.save()
        if self.stopping_reason is not None:
            return None
        while (number := self._interrupted()) is not None:
            if assignment := self._resume(number):
                return assignment
        if self.over_budget() is None and (assignment := self._next_untried()):
            return assignment
        if self._in_flight:
            return WAIT
        if self._may_confirm() and (confirmed := self._proposals.confirm(self._confirm)):
            numbers = ", ".join(map(str, confirmed))
            self._events.said(f"confirming the best settings (trials {numbers}) with fresh seeds")
            return self.next_trial()
        return None

    def report(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Record a validated epoch of a trial; whether it goes on."""
        if number not in self._in_flight:
            return False
        epoch = int(metrics["epoch"])
        if self.record.add_epoch(number, metrics):
            curve = self._curves.setdefault(number, {})
            curve[epoch] = self.record.curve(number)[epoch]
            if self._is_searched(number):
                self._rivals[number] = curve
            self._accounts.trained(epoch - max((at for at in self._curves[number] if at < epoch), default=0))
            if self.record.attribute(number, "failures"):
                self.record.note(number, failures=0)
        goes_on = self._judge(number, epoch)
        if goes_on:
            self._events.trial(self.record.row(number))
        self._accounts.save()
        return goes_on and self.stopping_reason is None

    def ended(self, number: int) -> None:
        """A trial's process has ended by itself, or was stopped."""
        self._in_flight.discard(number)
        if self.record.status(number) != "running" or self.stopping_reason is not None:
            return
        if self.record.epochs(number) < self.epochs:
            self.failed(number, "crashed", "ended before its last epoch without a word")

    def failed(self, number: int, ending: Ending, reason: str) -> None:
        """A trial has failed."""
        self._in_flight.discard(number)
        if self.record.status(number) != "running":
            return
        match ending:
            case "environment":
                self.failure = self.failure or reason
                self.stop(f"trial {number}: {reason}")
            case "crashed" if self.stopping_reason is not None:
                return
            case "crashed" if (failures := int(self.record.attribute(number, "failures", 0)) + 1) <= RETRIES:
                self.record.note(number, failures=failures)
                self._events.said(f"trial {number}: its process died ({reason}); it goes on from its last checkpoint")
            case _:
                if ending == "crashed":
                    reason = f"died {RETRIES + 1} times without finishing an epoch: {reason}"
                self.record.end(number, TrialState.FAIL, reason)
                self._told(number, f"failed: {reason}")

    def noted(self, number: int, text: str) -> None:
        """Something worth keeping happened to a trial, such as a damaged checkpoint."""
        notes = list(self.record.attribute(number, "notes", []))
        if text not in notes:
            self.record.note(number, notes=[*notes, text])
            self._events.said(f"trial {number}: {text}")

    def stop(self, reason: str) -> None:
        """Hand out no more trials, and let those running end at their next report, to be continued later."""
        if self.stopping_reason is None:
            self.stopping_reason = reason

    def abandon(self) -> None:
        """Whoever trained the trials handed out is gone: they are to be handed out again."""
        self._in_flight.clear()

    def close(self) -> None:
        """Save what the study has spent."""
        self._accounts.save(now=True)

    @property
    def spent(self) -> Spent:
        """What the study has used so far."""
        return self._accounts.spent

    @property
    def in_flight(self) -> frozenset[int]:
        """The trials handed out and not ended."""
        return frozenset(self._in_flight)

    @property
    def is_finished(self) -> bool:
        """Whether every trial has ended and nothing is left to start."""
        if self.stopping_reason is not None or self._in_flight:
            return False
        if self.over_budget() is not None:
            return not self.record.running
        return not (self.record.running or self.record.waiting)

    def over_budget(self) -> str | None:
        """Which limit is reached, if one is."""
        return self.budget.exhausted(self.spent)

    # Handing out

    def _interrupted(self) -> int | None:
        """The first trial that runs by the record and that nobody trains."""
        return min(self.record.running - self._in_flight, default=None)

    def _resume(self, number: int) -> Assignment | None:
        """Hand an interrupted trial out again, unless it turns out to have ended."""
        epoch = self.record.epochs(number)
        if not epoch:  # its driver may have died before all that precedes the first epoch was done
            return self._assign(number)
        self._in_flight.add(number)
        if not self._judge(number, epoch):
            return None
        if self.record.status(number) != "running":  # it was at its last epoch
            self._in_flight.discard(number)
            return None
        return self._assignment(number)

    def _assign(self, number: int) -> Assignment | None:
        """Draw a trial's settings to the last and hand it out, unless a constraint refuses them."""
        if not self.record.is_asked(number):
            self._proposals.draw(number)
        self._proposals.replicate(number)
        row = self.record.row(number)
        if refusal := self._proposals.refusal(row):
            self._accounts.count()
            self._told(number, f"refused: {refusal}")
            return None
        self._in_flight.add(number)
        self._events.trial(row)
        return self._assignment(number)

    def _assignment(self, number: int) -> Assignment:
        row = self.record.row(number)
        return Assignment(number, row.config, row.place, row.epochs)

    def _next_untried(self) -> Assignment | None:
        """The next trial that waits or is drawn now, past those that a constraint refuses."""
        self._proposals.prepare()
        self._accounts.count()
        for _ in range(MOST_REFUSED):
            number = self._proposals.next_number(self.budget.may_start(self.spent))
            if number is None:
                return None
            self._accounts.count()
            if assignment := self._assign(number):
                return assignment
        self.stop(f"{MOST_REFUSED} settings in a row are beyond the constraints; widen them")
        return None

    # Judging

    def _judge(self, number: int, epoch: int) -> bool:
        """End a trial that is at its last epoch, lags behind or is beyond the budget; False where it was stopped."""
        if epoch >= self.epochs:
            self._end(number, TrialState.COMPLETE, None, "finished")
            return True
        reason = self.over_budget()
        if reason is None and self._is_searched(number):
            reason = self.design.rule.reason(number, epoch, self._rivals, self.record.objectives, self.epochs)
        if reason is None:
            return True
        self._end(number, TrialState.PRUNED, reason, f"stopped: {reason}")
        self._in_flight.discard(number)
        return False

    def _is_searched(self, number: int) -> bool:
        return bool(self.record.attribute(number, "phase", "search") == "search")

    def _end(self, number: int, state: TrialState, reason: str | None, said: str) -> None:
        attributes: dict[str, Any] = {}
        if self._photographs is not None:
            scores = self._photographs(self.record.row(number))
            if scores is not None:
                attributes["photographs"] = [round(float(score), 6) for score in scores]
        self.record.end(number, state, reason, **attributes)
        self._told(number, said)

    def _told(self, number: int, what: str) -> None:
        self._events.trial(self.record.row(number))
        self._events.said(f"trial {number}: {what}")

    # Confirming

    def _may_confirm(self) -> bool:
        if not isinstance(self.design, SearchSpace) or len(self.record.objectives) > 1 or self._confirm < 1:
            return False
        return (
            self.stopping_reason is None
            and self.over_budget() is None
            and "training.seed" not in self.design.parameters
        )
