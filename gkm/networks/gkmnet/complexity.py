"""A part of a GKMNet and the shapes of a call in; the operations of that part beyond its layers out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gkm.networks.gkmnet.gkmnet import Block
from gkm.networks.gkmnet.sram import AttentionPredictionUnit
from gkm.networks.network import Operations


def operations(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Operations | None:
    """Sums of equation (9), and by definition dense M x M kernels for y and x at every scale.

    The paper's tool counts modules, and the Gaussian convolutions of the release are function calls.
    """
    match module:
        case AttentionPredictionUnit():
            features: Tensor = inputs[0]
            return Operations(paper=features.numel() // 4 + output[0].numel())
        case Block():
            gcm, _, y, *_ = inputs
            pixels = y[:, 0].numel()
            sums = pixels * (module.omega_y[0].numel() + module.omega_x[0].numel())
            kernels = module.omega_y.shape[3]
            return Operations(sums + pixels * 2 * 3 * kernels * (2 * gcm.reach + 1) ** 2, sums)
        case _:
            return None
