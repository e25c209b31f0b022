"""A stopping rule and a number of trials in; how many are expected to reach which epoch out."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gkm.study.design.stopping import ASHA, Hyperband, NoStopping, Stopping

MOST_REHEARSED = 200
"""Trials in a rehearsal; larger studies are scaled from it."""
REHEARSED_TRIALS = 4000
"""Over all rehearsals together."""
NOISE = 0.5
"""Of a trial's score at an epoch, in standard deviations of the settings' true scores: their correlation is 0.9."""


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs in which no trial is stopped."""

    last_epoch: int
    trials: float
    """Expected to train in it."""


@dataclass(frozen=True)
class Course:
    """What the trials of a study are expected to train."""

    stages: tuple[Stage, ...]
    trial_epochs: float
    longest: float
    """Epochs one after the other, on the busiest slot."""
    kind: str
    """"exact" where nothing is stopped, "expected" of successive halving, "at most" where a rule looks at curves."""


def expected_course(rule: Stopping, trials: int, epochs: int, validate_every: int, slots: int) -> Course:
    """The course of `trials` trials of at most `epochs` epochs, of which `slots` run at a time.

    Successive halving is rehearsed: by its arithmetic, trials of random quality, with noise in their scores, are
    judged in random order. What other rules stop depends on curves that nobody knows yet: they are taken to stop none.
    """
    slots = max(1, min(slots, trials))
    if not isinstance(rule, ASHA | Hyperband):
        longest = float(-(-trials // slots) * epochs)
        kind = "exact" if isinstance(rule, NoStopping) else "at most"
        return Course((Stage(epochs, float(trials)),), float(trials * epochs), longest, kind)
    count = min(trials, MOST_REHEARSED)
    repeats = max(4, min(100, REHEARSED_TRIALS // count))
    runs = [_rehearse(rule, count, epochs, validate_every, random.Random(repeat)) for repeat in range(repeats)]
    scale = trials / count
    ends = [end for run in runs for end in run]
    stages = tuple(
        Stage(last, scale * sum(1 for end in ends if end >= last) / repeats) for last in sorted({*ends, epochs})
    )
    total = scale * sum(ends) / repeats
    longest = fmean(_longest(run, slots) for run in runs) if scale == 1 else total / slots + epochs / 2
    return Course(stages, total, longest, "expected")


def _rehearse(rule: ASHA | Hyperband, trials: int, epochs: int, every: int, draw: random.Random) -> list[int]:
    """The epoch at which each trial ends, one after the other, by the rule's own arithmetic."""
    seen: dict[tuple[int, int], list[float]] = {}
    ends = []
    for number in range(trials):
        quality, end = draw.gauss(0, 1), epochs
        bracket = rule.bracket(epochs, number) if isinstance(rule, Hyperband) else 0
        for rung in rule.rungs(epochs, number):
            epoch = min(epochs, -(-rung // every) * every)
            if epoch == epochs:
                break
            score, there = quality + draw.gauss(0, NOISE), seen.setdefault((bracket, rung), [])
            insort(there, score)
            ahead = len(there) - bisect_right(there, score)
            if ahead >= max(1, int(len(there) / rule.reduction_factor)):
                end = epoch
                break
        ends.append(end)
    return ends


def _longest(ends: Sequence[int], slots: int) -> int:
    """Each trial goes to the slot that is free first."""
    busy = [0] * slots
    for end in ends:
        heapq.heapreplace(busy, busy[0] + end)
    return max(busy)
