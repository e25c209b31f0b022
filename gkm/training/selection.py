"""Which of a trial's epochs is the best: a metric and a direction in, a choice out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gkm.errors import InputError


@dataclass(frozen=True)
class Selection:
    """What the weights that are kept are chosen by."""

    metric: str = "val/psnr"
    mode: Literal["max", "min"] = "max"

    @property
    def best_key(self) -> str:
        """The metric under which the best value so far is reported."""
        return f"best/{self.metric}"

    def value(self, metrics: Mapping[str, float]) -> float:
        """What `metrics` are judged by; InputError if they have no such metric."""
        if self.metric not in metrics:
            raise InputError(
                f"{self.metric}: is not measured during training; choose from {', '.join(sorted(metrics))}"
            )
        return metrics[self.metric]

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` beats `than`; of equals the earlier one stays."""
        return value > than if self.mode == "max" else value < than
