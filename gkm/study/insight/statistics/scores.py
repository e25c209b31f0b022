"""Scores as a caller has them in; a checked array [seeds, photographs] out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROUNDING = 1e-12
"""Spread, as a fraction of the largest score, below which scores differ by rounding alone."""


def as_scores(values: npt.ArrayLike, name: str) -> Array:
    """`values` as an array [seeds, photographs] of finite numbers; `name` is for the error message."""
    scores_SP = np.asarray(values, dtype=np.float64)
    if scores_SP.ndim != 2:
        raise ValueError(
            f"{name}: has the shape {scores_SP.shape}, but must be [seeds, photographs]; "
            "give one row for each seed, even if there is only one"
        )
    if scores_SP.size == 0:
        raise ValueError(f"{name}: has the shape {scores_SP.shape}, so there are no scores; leave this setting out")
    if not np.isfinite(scores_SP).all():
        seed, photograph = np.argwhere(~np.isfinite(scores_SP))[0]
        raise ValueError(
            f"{name}: the score of seed {seed} on photograph {photograph} is {scores_SP[seed, photograph]}; "
            "leave that seed out, or that photograph in all settings"
        )
    return scores_SP


def as_level(level: float) -> float:
    """`level`, if it can be the confidence of an interval."""
    if not 0 < level < 1:
        raise ValueError(f"level: is {level:g}, but must lie between 0 and 1; 0.95 is usual")
    return float(level)


def negligible(spread: float, *arrays: Array) -> bool:
    """Whether `spread` is no more than rounding would leave in computations with these scores."""
    return spread <= ROUNDING * max(float(np.abs(array).max()) for array in arrays)
