"""A DMENet and a large photograph in, the photograph restored out: its map from strips of rows, in little memory."""

from __future__ import annotations

import torch
from torch import Tensor

from gkm.networks.dmenet.dmenet import DMENet

REACH_PIXELS = 256
"""How far a pixel of the photograph can change the map; a multiple of what the network's sides are extended to."""
STRIP_PIXELS = 1_000_000
"""Of the photograph, in one strip without the rows that are thrown away."""


@torch.no_grad()
def restore_by_strips(network: DMENet, blurred_13HW: Tensor, strip_pixels: int = STRIP_PIXELS) -> Tensor:
    """What `network` restores in evaluation mode, [1, 3, H, W], but for rounding of its map.

    The deconvolution sees the whole photograph: it has tiles of its own.
    """
    net, (height, width) = network.for_inference(), blurred_13HW.shape[-2:]
    multiple = network.size_multiple
    step = max(strip_pixels // width // multiple, 1) * multiple
    parts = []
    for top in range(0, height, step):
        # A last strip of few rows would be refused for its size, were there not those above it.
        start, bottom = max(0, top - REACH_PIXELS), min(top + step, height)
        sigmas = net.sigmas(blurred_13HW[..., start : bottom + REACH_PIXELS, :])
        parts.append(sigmas[..., top - start : bottom - start, :])
    return net.deconvolved(blurred_13HW, torch.cat(parts, dim=2))
