"""What counts as better: one metric of a trial or several, each with its direction and unit, and limits to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gkm.errors import InputError

Mode = Literal["max", "min"]

TRIAL_METRICS: Mapping[str, tuple[Mode, str]] = {
    "val/psnr": ("max", "dB"),
    "val/ssim": ("max", ""),
    "val/loss": ("min", ""),
    "train/loss": ("min", ""),
    "seconds_per_megapixel": ("min", "s/MP"),
    "seconds": ("min", "s"),
}
"""What every validated epoch of a trial reports, with the direction in which it is better and its unit."""
COMPLEXITY_METRICS: Mapping[str, tuple[Mode, str]] = {
    "parameters": ("min", ""),
    "multiply_adds": ("min", "MAC/pixel"),
}
"""What is known of a network before it is trained."""


@dataclass(frozen=True)
class Objective:
    """A metric to search by. The first objective of a study is also what a trial chooses its kept weights by."""

    metric: str = "val/psnr"
    mode: Mode = "max"
    unit: str = "dB"

    def __post_init__(self) -> None:
        known = {**TRIAL_METRICS, **COMPLEXITY_METRICS}
        if self.metric not in known:
            raise InputError(f"objective: {self.metric} is no metric of a trial; there are {', '.join(known)}")
        if self.mode not in ("max", "min"):
            raise InputError(f"objective: mode = {self.mode!r} must be 'max' or 'min'")

    @property
    def direction(self) -> str:
        """Optuna's word for the mode."""
        return "maximize" if self.mode == "max" else "minimize"

    def better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better than the other."""
        return value > than if self.mode == "max" else value < than

    @property
    def worst(self) -> float:
        """A value that every other one beats."""
        return float("-inf") if self.mode == "max" else float("inf")

    def best(self, values: Sequence[float]) -> float:
        """The best of `values`."""
        return max(values) if self.mode == "max" else min(values)

    def text(self, value: float) -> str:
        """`value` with its unit, rounded for people."""
        digits = 2 if self.unit == "dB" else 4
        number = f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.3g}"
        return f"{number} {self.unit}".rstrip()


PSNR = Objective()


@dataclass(frozen=True)
class Constraint:
    """A limit that settings must keep; those beyond it are refused before they are trained."""

    metric: str
    at_most: float

    def __post_init__(self) -> None:
        if self.metric not in COMPLEXITY_METRICS:
            raise InputError(
                f"constraint: {self.metric} is not known before training; there are {', '.join(COMPLEXITY_METRICS)}"
            )
        if self.at_most <= 0:
            raise InputError(f"constraint: {self.metric} at most {self.at_most} leaves nothing; give a positive limit")


def dominates(a: Sequence[float], b: Sequence[float], objectives: Sequence[Objective]) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    worse = any(objective.better(y, x) for x, y, objective in zip(a, b, objectives, strict=True))
    return not worse and any(objective.better(x, y) for x, y, objective in zip(a, b, objectives, strict=True))


def pareto_front(points: Mapping[int, Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """The keys of the points that no other point dominates, best by the first objective first."""
    front = [
        key
        for key, point in points.items()
        if not any(dominates(other, point, objectives) for name, other in points.items() if name != key)
    ]
    sign = -1 if objectives[0].mode == "max" else 1
    return sorted(front, key=lambda key: (sign * points[key][0], key))
