"""A study's record and the time that passes in; what has been spent, kept on record now and then, out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gkm.study.design.budget import Spent
from gkm.study.record.record import Record

SAVED_EVERY_SECONDS = 20.0


class Accounts:
    """What a study has spent over all its starts."""

    def __init__(self, record: Record, price_per_hour: float, clock: Callable[[], float]) -> None:
        self._record, self._price, self._clock = record, price_per_hour, clock
        self._before = self._tally = record.spent
        self._started = self._saved = clock()

    @property
    def spent(self) -> Spent:
        """Up to this moment."""
        hours = (self._clock() - self._started) / 3600
        before = self._before
        return replace(self._tally, hours=before.hours + hours, cost=before.cost + hours * self._price)

    def trained(self, epochs: int) -> None:
        """A trial has trained so many more."""
        self._tally = replace(self._tally, epochs=self._tally.epochs + epochs)

    def count(self) -> None:
        """The record has got, or lost, a trial."""
        self._tally = self._record.spent

    def save(self, now: bool = False) -> None:
        """Keep time and money on record, if it was not done a moment ago."""
        if now or self._clock() - self._saved > SAVED_EVERY_SECONDS:
            self._saved = self._clock()
            spent = self.spent
            self._record.set(hours=round(spent.hours, 5), cost=round(spent.cost, 4))
