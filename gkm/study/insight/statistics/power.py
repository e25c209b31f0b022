"""What a comparison has shown about the spread of scores in; how many seeds would show a given difference out."""

from __future__ import annotations

import numpy as np
from scipy import stats

from gkm.study.insight.statistics.difference import Difference, Variances
from gkm.study.insight.statistics.scores import as_level

QUANTILES = (np.arange(64) + 0.5) / 64
"""Where the distribution of the estimated variance is sampled."""
LARGEST_NONCENTRALITY = 1e8
"""More makes no difference to any power, and scipy returns NaN from about 1e12 on."""


def seeds_needed(
    difference: Difference, *, effect_db: float = 0.1, power: float = 0.8, level: float | None = None
) -> int | None:
    """Least number of seeds for each setting (2 or more) with which a true difference of `effect_db` dB would be shown.

    Photographs stay as many as they are. None: they alone blur the difference too much for any number of seeds, so more
    photographs are needed. `power`, between 0 and 1, is the chance that such a study shows the difference at `level`
    (None: the level of `difference`). It is averaged over what a few seeds leave open about the variance: with
    three, the true one may be several times as large as it looks, so that the answer is a guide and not a promise.

    Raises `ValueError` for a difference that has a caveat, and for settings out of range. Sources: noncentral t
    distribution with Satterthwaite's degrees of freedom; for the average, S. A. Julious & R. J. Owen, "Sample
    size calculations for clinical studies allowing for uncertainty about the variance", Pharmaceutical Statistics 5
    (2006).
    """
    level = as_level(difference.level if level is None else level)
    variances = difference.variances
    if variances is None:
        raise ValueError(f"difference: has {difference.caveat}, so it says nothing of the spread; give two at least")
    if not effect_db > 0:
        raise ValueError(f"effect_db: is {effect_db:g}, but must be more than 0; 0.1 dB is usual")
    if not 0 < power < 1:
        raise ValueError(f"power: is {power:g}, but must lie between 0 and 1; 0.8 is usual")

    def suffices(seeds: float) -> bool:
        return _power(difference, variances, seeds, effect_db, level) >= power

    if not suffices(float("inf")):
        return None
    enough = 2
    while not suffices(enough):
        enough *= 2
    too_few = max(1, enough // 2)
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if suffices(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _power(pilot: Difference, variances: Variances, seeds: float, effect_db: float, level: float) -> float:
    """Chance that a study with so many seeds for each setting shows a true difference of `effect_db`."""
    arm, reference = variances.arm_runs / seeds, variances.reference_runs / seeds
    photographs = variances.photographs / pilot.photographs
    variance = arm + reference + photographs
    if variance == 0:
        return 1.0
    arm, reference, photographs = arm / variance, reference / variance, photographs / variance
    mean_square = photographs + variances.residual / (seeds * pilot.photographs) / variance
    runs = (arm**2 + reference**2) / (seeds - 1)
    degrees = 1 / (runs + mean_square**2 / (pilot.photographs - 1))
    known = 1 / (
        arm**2 / (pilot.seeds - 1)
        + reference**2 / (pilot.reference_seeds - 1)
        + photographs**2 / (pilot.photographs - 1)
    )
    critical = stats.t.ppf((1 + level) / 2, degrees)
    precision = stats.chi2.ppf(QUANTILES, known) / known / variance
    noncentrality = np.minimum(effect_db * precision**0.5, LARGEST_NONCENTRALITY)
    return float(stats.nct.sf(critical, degrees, noncentrality).mean())
