"""A network in training in, the moving average of its weights out; with it, the network as it is judged and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of the weights and statistics of a network, updated after each optimiser step.

    The decay is `decay`, but warms up with the number of updates t: at most (1 + t) / (10 + t), so that the weights of
    the first steps are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._model = model
        self._tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights; integers, such as counters, are taken over."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages, now = [], []
        for name, tensor in self._model.state_dict().items():
            if tensor.is_floating_point():
                averages.append(self._tensors[name])
                now.append(tensor.detach())
            else:
                self._tensors[name].copy_(tensor)
        torch._foreach_lerp_(averages, now, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the network has the averaged weights."""
        own = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        self.write(self._tensors)
        try:
            yield
        finally:
            self.write(own)

    @torch.no_grad()
    def write(self, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Give the network these weights; left out: the averaged ones."""
        source = self._tensors if tensors is None else tensors
        for name, tensor in self._model.state_dict().items():
            tensor.copy_(source[name])

    def tensors(self) -> dict[str, Tensor]:
        """The averaged state dict."""
        return dict(self._tensors)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Go on from the average that a checkpoint has."""
        self.updates = updates
        for name, tensor in self._tensors.items():
            tensor.copy_(tensors[name])


def average_of(model: nn.Module, decay: float) -> WeightAverage | None:
    """The average that `training.ema` = `decay` asks for; None where it is 0."""
    return WeightAverage(model, decay) if decay else None
