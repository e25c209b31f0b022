"""Scores of photographs before and after in; their mean difference with its interval, and words for it, out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gkm.evaluation import ImageScore
from gkm.report.evidence import TestScores
from gkm.report.tables.cells import difference
from gkm.report.tables.study_table import OTHER_DIGITS, PSNR_DIGITS
from gkm.scoring.summary import Gain
from gkm.study.insight.statistics import Difference, by_scene, paired_difference

METRICS = (("psnr", PSNR_DIGITS, True), ("ssim", OTHER_DIGITS, True), ("lpips", OTHER_DIGITS, False))
"""Name, digits after the point, whether higher is better."""


def paired(metric: str, before: Sequence[ImageScore], after: Sequence[ImageScore]) -> Difference | None:
    """`after` minus `before`, those of a scene averaged first where there are several scenes; 95 % interval.

    The interval is over photographs alone: it reaches to others restored by this very model, not to other seeds.
    None where a score is missing or infinite.
    """
    sides = [[getattr(score, metric) for score in scores] for scores in (before, after)]
    if any(value is None or not math.isfinite(value) for values in sides for value in values):
        return None
    scenes = [score.scene for score in before]
    old, new = (by_scene(values, scenes) for values in sides)
    return paired_difference([new], [old])


def around(mean: float, found: Difference | Gain | None) -> tuple[float | None, float | None]:
    """Where the interval of a difference lies around the mean of what was compared; None twice where there is none.

    It is not where that mean may lie, which depends on the photographs far more than on the model.
    """
    if found is None or found.low is None or found.high is None:
        return None, None
    return mean + found.low - found.mean, mean + found.high - found.mean


def interval_text(metric: str, found: Difference | None) -> str:
    """The interval in words, empty where there is none."""
    if found is None or found.low is None or found.high is None:
        return ""
    digits = next(digits for name, digits, _ in METRICS if name == metric)
    low, high = (difference(value, digits).text for value in (found.low, found.high))
    return f"95 % interval {low} to {high}"


def against_baseline(tests: TestScores) -> str:
    """One sentence on the model and the method without learning, whichever is better; empty without the latter."""
    if tests.baseline is None:
        return ""
    parts: dict[str, list[str]] = {"better": [], "worse": [], "same": []}
    for metric, digits, higher_is_better in METRICS:
        found = paired(metric, tests.baseline.scores, tests.restored)
        if found is None:
            continue
        shown = difference(found.mean, digits, higher_is_better)
        unit = " dB" if metric == "psnr" else ""
        chance = "" if _is_sure(found) else ", within chance"
        parts[shown.verdict or "same"].append(f"{metric.upper()} ({shown.text}{unit}{chance})")
    said = [f"{word} in {' and '.join(names)}" for word, names in zip(_WORDS, parts.values(), strict=True) if names]
    return (
        f"Against {tests.baseline.name}, which is told the sharp photograph to choose each pixel’s kernel and learns "
        f"nothing, the model is {', '.join(said)}."
        if said
        else ""
    )


_WORDS = ("better", "worse", "the same")


def _is_sure(found: Difference) -> bool:
    """Whether the interval leaves zero out."""
    return found.low is not None and found.high is not None and not found.low <= 0 <= found.high
