"""Scores of two settings over seeds and photographs in; their difference, its interval and its p-value out.

The model, with shape suffixes S (training seeds) and P (photographs): the score of a run of one setting on a photograph
is a mean, plus what the seed does to the run, plus what the photograph does to the setting, plus what is particular to
this run on this photograph. Both seeds and photographs are samples: a verdict is meant for other seeds and other
photographs of the same kind. docs/statistics.md says why simpler tests mislead and how well this one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy.typing as npt
from scipy import stats

from gkm.study.insight.statistics.scores import Array, as_level, as_scores, negligible


@dataclass(frozen=True)
class Variances:
    """What makes a difference between two settings vary, as variances in dB² (squares of the scores' unit)."""

    arm_runs: float
    """Between seeds of the arm: variance of a run's mean over these photographs."""
    reference_runs: float
    """The same for the reference."""
    photographs: float
    """Between photographs: variance of the difference between the settings; 0 where the estimate is negative."""
    residual: float
    """What is particular to a run on a photograph, for a run of the arm and one of the reference together."""


@dataclass(frozen=True)
class Difference:
    """How much better an arm scores than its reference, arm minus reference, in dB (the scores' unit)."""

    mean: float
    """Mean over seeds and photographs."""
    low: float | None
    """Lower bound of the interval; None where there is one seed and one photograph."""
    high: float | None
    """Upper bound of the interval; None where there is one seed and one photograph."""
    p_value: float | None
    """Two-sided, in 0 to 1; None where a caveat forbids a verdict."""
    effect_size: float | None
    """Mean over the standard deviation of the difference between one run of each on one photograph (no unit).

    None where a caveat forbids a verdict, and where nothing varies. It is the d of Westfall, Kenny & Judd (2014).
    """
    level: float
    """Confidence of the interval, in 0 to 1."""
    seeds: int
    """Runs of the arm."""
    reference_seeds: int
    """Runs of the reference."""
    photographs: int
    """Photographs that all runs were scored on."""
    variances: Variances | None
    """None where a caveat forbids a verdict."""
    caveat: str | None = None
    """Why this difference says nothing about the settings, such as "one seed only"; None where it does.

    The interval is then over photographs alone (one seed) or over seeds alone (one photograph).
    """


class _Estimate(NamedTuple):
    """One part of the variance of the mean difference, estimated with so many degrees of freedom."""

    variance: float
    degrees: float


def paired_difference(arm: npt.ArrayLike, reference: npt.ArrayLike, *, level: float = 0.95) -> Difference:
    """The difference between `arm` [seeds, photographs] and `reference` [seeds, photographs], in dB.

    Columns are paired: column p of both is the same photograph. Rows are not: a seed starts two different networks
    from unrelated weights, so the numbers of seeds may differ, and the order of the rows is of no consequence.

    The variance of the mean difference is put together from mean squares over runs and over photographs, less the
    residual, which both contain; with a t distribution whose degrees of freedom are Satterthwaite's. Where a negative
    component would make that smaller than the runs' or the photographs' part alone, the larger part stands. If scores
    vary between seeds alone, this is Welch's test of the runs' means; if they vary between photographs alone, Student's
    test of the photographs' differences.

    `level` lies between 0 and 1. Raises `ValueError` for scores or a level that cannot be used. Source: F. E.
    Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2 (1946).
    """
    level = as_level(level)
    arm_SP, reference_SP = as_scores(arm, "arm"), as_scores(reference, "reference")
    photographs = arm_SP.shape[1]
    if photographs != reference_SP.shape[1]:
        raise ValueError(
            f"arm has scores of {photographs} photographs, reference of {reference_SP.shape[1]}; "
            "give both the scores of the same photographs, in the same order"
        )
    caveat = _caveat(min(len(arm_SP), len(reference_SP)), photographs)
    variances = None if caveat else _variances(arm_SP, reference_SP)
    total = variances and _of_one_photograph(variances, photographs)
    mean = float(arm_SP.mean() - reference_SP.mean())
    half = p_value = None
    if (estimate := _variance_of_mean(arm_SP, reference_SP)) is not None:
        error = estimate.variance**0.5
        if negligible(error, arm_SP, reference_SP):
            half, p_value = 0.0, float(negligible(abs(mean), arm_SP, reference_SP))
        else:
            half = float(stats.t.ppf((1 + level) / 2, estimate.degrees)) * error
            p_value = float(2 * stats.t.sf(abs(mean) / error, estimate.degrees))
    return Difference(
        mean=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        p_value=None if caveat else p_value,
        effect_size=mean / total**0.5 if total else None,
        level=level,
        seeds=len(arm_SP),
        reference_seeds=len(reference_SP),
        photographs=photographs,
        variances=variances,
        caveat=caveat,
    )


def _caveat(seeds: int, photographs: int) -> str | None:
    """Why so few seeds and photographs allow no verdict; None where they do."""
    match seeds, photographs:
        case 1, 1:
            return "one seed and one photograph only"
        case 1, _:
            return "one seed only"
        case _, 1:
            return "one photograph only"
    return None


def _variance_of_mean(arm_SP: Array, reference_SP: Array) -> _Estimate | None:
    """Variance of the mean difference; over what there are several of, or None where there is one of each."""
    several_seeds = min(len(arm_SP), len(reference_SP)) > 1
    several_photographs = arm_SP.shape[1] > 1
    runs = [_over_runs(arm_SP), _over_runs(reference_SP)] if several_seeds else []
    over_photographs = [_over_photographs(arm_SP, reference_SP)] if several_photographs else []
    if not (several_seeds and several_photographs):
        return _satterthwaite(runs + over_photographs) if runs or over_photographs else None
    residuals = [_residual(arm_SP), _residual(reference_SP)]
    residual = sum(part.variance for part in residuals)
    if over_photographs[0].variance <= residual:
        return _satterthwaite(runs)
    if sum(part.variance for part in runs) <= residual:
        return _satterthwaite(over_photographs)
    return _satterthwaite(runs + over_photographs, minus=residuals)


def _satterthwaite(parts: Sequence[_Estimate], minus: Sequence[_Estimate] = ()) -> _Estimate:
    """The sum of independent estimates, less some others, with its approximate degrees of freedom."""
    variance = sum(part.variance for part in parts) - sum(part.variance for part in minus)
    spread = sum(part.variance**2 / part.degrees for part in [*parts, *minus])
    return _Estimate(variance, variance**2 / spread if spread else float("inf"))


def _over_runs(scores_SP: Array) -> _Estimate:
    """Variance of one setting's mean, from how its runs differ in their mean over the photographs."""
    seeds = len(scores_SP)
    return _Estimate(float(scores_SP.mean(axis=1).var(ddof=1)) / seeds, seeds - 1)


def _over_photographs(arm_SP: Array, reference_SP: Array) -> _Estimate:
    """Variance of the mean difference, from how the photographs' differences differ."""
    differences_P = arm_SP.mean(axis=0) - reference_SP.mean(axis=0)
    return _Estimate(float(differences_P.var(ddof=1)) / len(differences_P), len(differences_P) - 1)


def _residual(scores_SP: Array) -> _Estimate:
    """Variance of one setting's mean, from what neither run nor photograph explains."""
    rest_SP = scores_SP - scores_SP.mean(axis=0) - scores_SP.mean(axis=1, keepdims=True) + scores_SP.mean()
    degrees = (scores_SP.shape[0] - 1) * (scores_SP.shape[1] - 1)
    return _Estimate(float((rest_SP**2).sum()) / degrees / scores_SP.size, degrees)


def _variances(arm_SP: Array, reference_SP: Array) -> Variances:
    """Estimates of the components; of several seeds and photographs. What is rounding alone counts as 0."""
    arm, reference = _residual(arm_SP).variance, _residual(reference_SP).variance
    photographs = arm_SP.shape[1]
    estimates = (
        _over_runs(arm_SP).variance * len(arm_SP),
        _over_runs(reference_SP).variance * len(reference_SP),
        max(0.0, _over_photographs(arm_SP, reference_SP).variance - arm - reference) * photographs,
        arm * arm_SP.size + reference * reference_SP.size,
    )
    return Variances(*(0.0 if negligible(value**0.5, arm_SP, reference_SP) else value for value in estimates))


def _of_one_photograph(variances: Variances, photographs: int) -> float:
    """Variance of the difference between one run of each on one photograph.

    A run's mean already holds the residual's share of one in `photographs`.
    """
    rest = variances.residual * (1 - 1 / photographs)
    return variances.arm_runs + variances.reference_runs + variances.photographs + rest
