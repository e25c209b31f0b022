"""Who is stopped before its last epoch: small typed rules over the curves of all trials.

A rule is a pure function of what the record holds, without a memory of its own, so that a decision that was not carried
out before a crash is made again as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gkm.errors import InputError
from gkm.study.design.objective import Objective

Curve = Mapping[int, tuple[float, ...]]
"""Epoch -> the objectives' values of the weights kept by then."""
Curves = Mapping[int, Curve]
"""Trial number -> its curve."""
Floats = NDArray[np.float64]
_POINTS_AT_ONCE = 256
"""Compared with all others, which takes memory."""


class Stopping(Protocol):
    """A stopping rule."""

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        """The epochs at which the trial `number` may be stopped, of trials of `epochs` epochs; none: at any."""

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        """Why trial `number` should stop at `epoch`, just reported; None: it goes on."""


@dataclass(frozen=True)
class NoStopping:
    """Every trial runs to its last epoch."""

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        return ()

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        return None


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving (Li et al., 2020): at each rung the best 1 / reduction_factor so far go on.

    Of several objectives, trials are ranked by non-dominated sorting (Schmucker et al., 2021).
    """

    first_rung_epochs: int = 1
    """Epochs before a trial may be stopped."""
    reduction_factor: float = 3.0
    """Rungs lie this factor apart."""

    def __post_init__(self) -> None:
        if self.first_rung_epochs < 1:
            raise InputError(f"stopping: first_rung_epochs = {self.first_rung_epochs} must be at least 1")
        if not self.reduction_factor > 1:
            raise InputError(f"stopping: reduction_factor = {self.reduction_factor} must exceed 1; 3 or 4 is usual")

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        found, rung = [], float(self.first_rung_epochs)
        while round(rung) < epochs:
            found.append(round(rung))
            rung *= self.reduction_factor
        return tuple(dict.fromkeys(found))

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        return _halve(number, epoch, curves, objectives, self.rungs(epochs), self.reduction_factor)


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in brackets (Li et al., 2018), each with a later first rung, taken in turn by number."""

    first_rung_epochs: int = 1
    reduction_factor: float = 3.0
    brackets: int = 3

    def __post_init__(self) -> None:
        ASHA(self.first_rung_epochs, self.reduction_factor)
        if self.brackets < 1:
            raise InputError(f"stopping: brackets = {self.brackets} must be at least 1")

    def bracket(self, epochs: int, number: int) -> int:
        """Which bracket trial `number` is in."""
        most = max(1, len(ASHA(self.first_rung_epochs, self.reduction_factor).rungs(epochs)))
        return number % min(self.brackets, most)

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        rungs = ASHA(self.first_rung_epochs, self.reduction_factor).rungs(epochs)
        return rungs[self.bracket(epochs, number) :]

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        own, rungs = self.bracket(epochs, number), self.rungs(epochs, number)
        if _rung_passed(curves[number], epoch, rungs) is None:
            return None
        rivals = {other: curve for other, curve in curves.items() if self.bracket(epochs, other) == own}
        return _halve(number, epoch, rivals, objectives, rungs, self.reduction_factor)


@dataclass(frozen=True)
class Median:
    """Stops a trial that is worse than the median of the others at the same epoch (Golovin et al., 2017)."""

    warmup_epochs: int = 1
    """Epochs before a trial may be stopped."""
    startup_trials: int = 4
    """Trials with a value at that epoch, itself included, before any is stopped."""

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        return ()

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        _one(objectives, "Median")
        if epoch <= self.warmup_epochs:
            return None
        there = [curve[epoch][0] for other, curve in curves.items() if other != number and epoch in curve]
        if len(there) + 1 < max(2, self.startup_trials):
            return None
        middle, own = median(there), curves[number][epoch][0]
        if not objectives[0].better(middle, own):
            return None
        return f"{objectives[0].text(own)} at epoch {epoch}, worse than the median of {len(there)} others"


@dataclass(frozen=True)
class Patient:
    """Stops a trial that has not improved for some epochs; with an inner rule, only where that says so, too."""

    epochs: int
    """Epochs without an improvement."""
    least: float = 0.0
    """Improvements smaller than this do not count, in the unit of the objective."""
    inner: ASHA | Hyperband | Median | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"stopping: Patient(epochs={self.epochs}) must be at least 1")

    def rungs(self, epochs: int, number: int = 0) -> tuple[int, ...]:
        return self.inner.rungs(epochs, number) if self.inner else ()

    def reason(
        self, number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], epochs: int
    ) -> str | None:
        _one(objectives, "Patient")
        curve, sign = curves[number], 1 if objectives[0].mode == "max" else -1
        before = [value[0] for at, value in curve.items() if at <= epoch - self.epochs]
        since = [value[0] for at, value in curve.items() if epoch - self.epochs < at <= epoch]
        if not before or not since:
            return None
        if max(sign * value for value in since) > max(sign * value for value in before) + self.least:
            return None
        if self.inner and self.inner.reason(number, epoch, curves, objectives, epochs) is None:
            return None
        return f"no improvement in {self.epochs} epochs, at epoch {epoch}"


def _halve(
    number: int, epoch: int, curves: Curves, objectives: Sequence[Objective], rungs: Sequence[int], factor: float
) -> str | None:
    """Successive halving's decision where `epoch` is the first report at or after a rung."""
    rung = _rung_passed(curves[number], epoch, rungs)
    if rung is None:
        return None
    values = {other: value for other, curve in curves.items() if (value := value_at(curve, rung)) is not None}
    places = max(1, int(len(values) / factor))
    ahead = _ahead(values, number, objectives)
    if ahead < places:
        return None
    return f"behind {ahead} of {len(values) - 1} other trials at epoch {rung}"


def _rung_passed(curve: Curve, epoch: int, rungs: Sequence[int]) -> int | None:
    """The rung that the report at `epoch` is the first one at or after; the last of several."""
    earlier = max((at for at in curve if at < epoch), default=0)
    return max((rung for rung in rungs if earlier < rung <= epoch), default=None)


def value_at(curve: Curve, rung: int) -> tuple[float, ...] | None:
    """A trial's value at a rung: that of its first report at or after it."""
    at = min((epoch for epoch in curve if epoch >= rung), default=None)
    return None if at is None else curve[at]


def _ahead(values: Mapping[int, tuple[float, ...]], number: int, objectives: Sequence[Objective]) -> int:
    """How many trials have a better value, or are dominated by fewer; between equals the first objective decides."""
    own = values[number]
    if len(objectives) == 1:
        return sum(1 for value in values.values() if objectives[0].better(value[0], own[0]))
    signs = np.array([1.0 if objective.mode == "max" else -1.0 for objective in objectives])
    points_NK = np.asfortranarray(np.array(list(values.values())) * signs)
    ranks_N = _ranks(points_NK)
    at = list(values).index(number)
    first_N = points_NK[:, 0] > points_NK[at, 0]
    return int(np.count_nonzero((ranks_N < ranks_N[at]) | ((ranks_N == ranks_N[at]) & first_N)))


def _ranks(points_NK: Floats) -> NDArray[np.int64]:
    """By how many others each point is dominated, of K objectives to be raised."""
    ranks_N = np.zeros(len(points_NK), np.int64)
    for start in range(0, len(points_NK), _POINTS_AT_ONCE):
        part_BK = points_NK[start : start + _POINTS_AT_ONCE]
        better_BN = np.zeros((len(part_BK), len(points_NK)), bool)
        worse_BN = better_BN.copy()
        for own_B, of_N in zip(part_BK.T, points_NK.T, strict=True):
            better_BN |= own_B[:, None] > of_N
            worse_BN |= own_B[:, None] < of_N
        ranks_N[start : start + _POINTS_AT_ONCE] = np.count_nonzero(worse_BN & ~better_BN, axis=1)
    return ranks_N


def _one(objectives: Sequence[Objective], rule: str) -> None:
    if len(objectives) > 1:
        raise InputError(f"stopping: {rule} knows one objective; use ASHA, Hyperband or NoStopping with several")
