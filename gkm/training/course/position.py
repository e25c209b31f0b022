"""Steps that were taken in; where a training stands between two of them, as a checkpoint keeps it, out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor


@dataclass
class Position:
    """Where a training stands. Batches and losses are over all workers: another number of them goes on from here."""

    epoch: int = 0
    """Complete epochs."""
    batch: int = 0
    """Batches of the next epoch that were trained on."""
    total: float = 0.0
    """Sum of the losses of these batches."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of each complete epoch since the last one that was validated."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """The position in the state of a checkpoint; earlier ones were written after validated epochs alone."""
        if "position" in state:
            return cls(**state["position"])
        return cls(epoch=int(state["history"][-1]["epoch"]))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this."""
        return asdict(self)


class StepLosses:
    """The losses of an epoch's steps on this worker, left on the device until they are asked for.

    Added up one by one, beginning with `total`, that of `batches` earlier ones: an epoch in parts has the same sum to
    the bit.
    """

    def __init__(self, batches: int = 0, total: float = 0.0) -> None:
        self.batches, self.total = batches, total
        self.bad: tuple[int, float] | None = None
        """The first step, from 0, whose loss was no number, and that loss."""
        self._waiting: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """The loss of one more step; nothing is waited for."""
        self._waiting.append(loss)

    def settle(self) -> None:
        """Ask the device for all losses added since the last time."""
        for loss in torch.stack(self._waiting).tolist() if self._waiting else []:
            if self.bad is None and not math.isfinite(loss):
                self.bad = (self.batches, loss)
            self.batches += 1
            self.total += loss
        self._waiting.clear()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the generators of random numbers stand, as tensors of bytes; those of `device`, and the processor's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(device: torch.device, state: Mapping[str, Tensor]) -> None:
    """Go on with the random numbers of `random_state`; generators that are not in `state` stay as they are."""
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
