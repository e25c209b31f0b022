"""A network and an image size in; parameters, bytes and multiply-adds out, without computing anything."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gkm.networks.gkmnet.gkmnet import Block, GKMNet
from gkm.networks.gkmnet.recurrent import ConvLSTM
from gkm.networks.gkmnet.sram import AttentionPredictionUnit


@dataclass(frozen=True)
class Complexity:
    """What one image costs; multiply-adds are of convolutions (and products of matrices) alone."""

    parameters: int
    model_bytes: int
    """Size of the state dict, buffers included."""
    macs: int
    """Multiply-adds of the definition: dense M x M kernels for y and x at every scale, as in the authors' release."""
    executed_macs: int
    """Multiply-adds that this implementation carries out."""
    paper_gflops: float
    """Billions of operations in the paper's own convention (Tables 1, 4 and 5; see docs/fidelity.md)."""


def measure(model: GKMNet, height: int, width: int) -> Complexity:
    """The complexity of `model` for one image of `height` x `width` pixels (shapes only: any size is quick)."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    shapes = copy.deepcopy(model).to("meta").eval()
    tally = _Tally()
    inside_cells = {id(part) for cell in shapes.modules() if isinstance(cell, ConvLSTM) for part in cell.children()}
    for module in shapes.modules():
        if id(module) not in inside_cells:
            module.register_forward_hook(tally.add)
    with torch.no_grad(), FlopCounterMode(display=False) as executed:
        shapes(torch.empty(1, 3, height, width, device="meta"))
    return Complexity(parameters, model_bytes, tally.macs, executed.get_total_flops() // 2, tally.paper / 1e9)


class _Tally:
    """Counts by the shapes that pass through each kind of module."""

    def __init__(self) -> None:
        self.macs = 0
        self.paper = 0

    def add(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        match module:
            case nn.ConvTranspose2d():
                # The paper's tool takes every output for the sum of all taps; at stride 2 only a quarter meet it.
                self.macs += inputs[0][:, 0].numel() * module.weight.numel()
                self.paper += output.numel() * module.weight[:, 0].numel()
            case nn.Conv2d():
                self._both(output[:, 0].numel() * module.weight.numel())
            case nn.BatchNorm2d():
                self.paper += 2 * output.numel()
            case ConvLSTM():
                self._both(output[0][:, 0].numel() * module.conv.weight.numel())
            case AttentionPredictionUnit():
                features: Tensor = inputs[0]
                self.paper += features.numel() // 4 + output[0].numel()
            case Block():
                self._add_block(inputs, module)

    def _both(self, macs: int) -> None:
        self.macs += macs
        self.paper += macs

    def _add_block(self, inputs: tuple[Any, ...], block: Block) -> None:
        gcm, _, y, _, _ = inputs
        pixels = y[:, 0].numel()
        kernels = block.omega_y.shape[3]
        self._both(pixels * (block.omega_y[0].numel() + block.omega_x[0].numel()))
        # The paper's tool counts modules, and the Gaussian convolutions of the release are function calls.
        self.macs += pixels * 2 * 3 * kernels * (2 * gcm.reach + 1) ** 2
