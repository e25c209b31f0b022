"""A network in training in; all that it takes to go on with it, to and from a checkpoint, out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gkm.networks import Network
from gkm.training.average import WeightAverage
from gkm.training.checkpoint import Checkpoint, save_checkpoint
from gkm.training.course.arithmetic import Arithmetic
from gkm.training.course.position import Position, random_state
from gkm.training.resuming import Identity


@dataclass
class TrainingState:
    """A training between two steps."""

    model: Network
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    identity: Identity
    device: torch.device
    arithmetic: Arithmetic
    position: Position = field(default_factory=Position)
    history: list[dict[str, float]] = field(default_factory=list)
    """Metrics of the validated epochs, in order."""
    notes: list[str] = field(default_factory=list)
    """What a user should know of this training, such as that a checkpoint was damaged."""
    random: dict[str, Tensor] = field(default_factory=dict)
    """To go on within an epoch with; empty at its beginning, whose random numbers follow from its number."""
    seconds: float = 0.0
    """Of training and validation, up to the checkpoint gone on from."""

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return self.identity.state()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `checkpoint`."""
        self.model.load_state_dict(checkpoint.weights)
        if self.average is not None and checkpoint.average is not None:
            self.average.restore(checkpoint.average, checkpoint.state["average_updates"])
        self.optimizer.load_state_dict(checkpoint.optimizer)
        for parameter, entries in self.optimizer.state.items():
            for key, value in entries.items():
                # The fused optimiser reads memory as it lies, so moments must lie as their weights do (channels last).
                if value.shape == parameter.shape:
                    entries[key] = torch.empty_like(parameter).copy_(value)
        self.history = list(checkpoint.state["history"])
        self.position = Position.of(checkpoint.state)
        self.notes = list(checkpoint.state.get("notes", ()))
        self.random = checkpoint.random
        self.arithmetic.restore(checkpoint.state.get("scaling", {}))
        self.seconds = checkpoint.state.get("seconds", self.history[-1]["seconds"] if self.history else 0.0)

    def write(self, directory: Path, *, seconds: float) -> Path:
        """A checkpoint of this moment in `directory`; see `gkm.training.checkpoint.save_checkpoint`."""
        state = {
            "history": self.history,
            "position": self.position.state(),
            "notes": self.notes,
            "seconds": seconds,
            **self._kept,
        }
        if scaling := self.arithmetic.state():
            state["scaling"] = scaling
        averaged = None
        if self.average is not None:
            averaged, state["average_updates"] = self.average.tensors(), self.average.updates
        random = random_state(self.device) if self.position.batch else None
        return save_checkpoint(self.model, self.optimizer, state, directory, average=averaged, random=random)
