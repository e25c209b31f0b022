"""Scores of one setting over its seeds in; their mean and its interval out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt
from scipy import stats

from gkm.study.insight.statistics.scores import as_level, as_scores


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie, in the unit of the scores."""

    mean: float
    low: float | None
    """Lower bound; None with a single seed."""
    high: float | None
    """Upper bound; None with a single seed."""


def mean_interval(scores: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean of `scores` [seeds, photographs] and Student's interval for it over the seeds' means.

    The interval is about other seeds on these same photographs. It does not serve to compare two settings: see
    `paired_difference`. `level` lies between 0 and 1. Raises `ValueError` for scores or a level that cannot be used.
    """
    level = as_level(level)
    means_S = as_scores(scores, "scores").mean(axis=1)
    mean = float(means_S.mean())
    if len(means_S) == 1:
        return Interval(mean, None, None)
    half = float(stats.t.ppf((1 + level) / 2, len(means_S) - 1) * means_S.std(ddof=1) / len(means_S) ** 0.5)
    return Interval(mean, mean - half, mean + half)
