"""A network and an image size in; parameters, bytes and multiply-adds out, as a rule without computing anything."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gkm.networks.kinds import kind_of
from gkm.networks.network import Kind, Network, Operations
from gkm.networks.ops.conv_lstm import ConvLSTM


@dataclass(frozen=True)
class Complexity:
    """What one image costs; multiply-adds are of convolutions (and products of matrices) alone."""

    parameters: int
    model_bytes: int
    """Size of the state dict, buffers included."""
    macs: int
    """Multiply-adds of the definition, layer by layer; a network may define more (see `Kind.operations`)."""
    executed_macs: int
    """Multiply-adds that this implementation carries out."""
    paper_gflops: float
    """Billions of operations as GKMNet's paper counts them (Tables 1, 4 and 5; see docs/fidelity.md)."""


def measure(network: Network, height: int, width: int) -> Complexity:
    """The complexity of `network` for one image of `height` x `width` pixels (shapes only: any size is quick)."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    shapes, tally = _counted(network, "meta")
    with torch.no_grad(), FlopCounterMode(display=False) as executed:
        shapes(torch.empty(1, 3 * len(network.inputs), height, width, device="meta"))
    return Complexity(parameters, model_bytes, tally.macs, executed.get_total_flops() // 2, tally.paper / 1e9)


def operations(network: Network, height: int, width: int, device: str = "meta") -> Operations:
    """What one image of `height` x `width` pixels takes by definition, and as the paper counts it.

    On "meta" nothing is computed, whatever the size; small networks have a small image computed sooner, on "cpu".
    """
    copied, tally = _counted(network, device)
    with torch.no_grad():
        copied(torch.zeros(1, 3 * len(network.inputs), height, width, device=device))
    return Operations(tally.macs, tally.paper)


def _counted(network: Network, device: str) -> tuple[Network, _Tally]:
    """A copy of `network`, and what counts whatever passes through it."""
    copied, tally = copy.deepcopy(network).to(device).eval(), _Tally(kind_of(network))
    for module in copied.modules():
        module.register_forward_hook(tally.add)
    return copied, tally


class _Tally:
    """Counts by the shapes that pass through each kind of module."""

    def __init__(self, kind: Kind) -> None:
        self._own = kind.operations
        self.macs = self.paper = 0

    def add(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        counted = self._own(module, inputs, output) if self._own else None
        counted = counted or _of_layer(module, inputs, output)
        self.macs += counted.macs
        self.paper += counted.paper


def _of_layer(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Operations:
    """What a layer of PyTorch, or a Conv-LSTM, takes; nothing for what is none."""
    match module:
        case ConvLSTM():
            # Its convolution is a function call; where there is no state yet, its half counts all the same.
            macs = output[0][:, 0].numel() * module.conv.weight.numel()
            return Operations(macs, macs)
        case nn.ConvTranspose2d():
            # The paper's tool takes every output for the sum of all taps, though with a stride fewer meet it.
            taps = module.weight[:, 0].numel()
            return Operations(inputs[0][:, 0].numel() * module.weight.numel(), output.numel() * taps)
        case nn.Conv2d():
            macs = output[:, 0].numel() * module.weight.numel()
            return Operations(macs, macs)
        case nn.Linear():
            macs = output.numel() * module.in_features
            return Operations(macs, macs)
        case nn.BatchNorm2d():
            return Operations(paper=2 * output.numel())
        case _:
            return Operations()
