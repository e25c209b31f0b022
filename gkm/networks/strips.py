"""A network and a large photograph in, the photograph restored in as little memory as the network allows out.

Networks that have an exact form of their own are asked for it. Of others whose results depend on their surroundings up
to a known distance, strips of whole rows pass one after the other, each with that many rows above and below that are
thrown away: the same result but for rounding. All others see the whole photograph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gkm.networks.kinds import kind_of
from gkm.networks.network import Network

STRIP_PIXELS = 2_000_000
"""Of the input, in one strip without the rows that are thrown away."""


@torch.no_grad()
def restore(network: Network, input_1CHW: Tensor, *, strip_pixels: int | None = None) -> Tensor:
    """The finest result [1, 3, H, W] of `network` in evaluation mode for one photograph; the network is left alone.

    `strip_pixels` is how large a strip is, where the network has no strip form of its own (default: STRIP_PIXELS).
    Raises ValueError for a batch, and for images that the network refuses.
    """
    if len(input_1CHW) != 1:
        raise ValueError(f"strips are made of one photograph at a time, but {len(input_1CHW)} are given")
    if own := kind_of(network).restore_by_strips:
        return own(network, input_1CHW)
    net = network.for_inference()
    if network.reach_pixels is None:
        finest: Tensor = net(input_1CHW)[-1]
        return finest
    multiple, (height, width) = network.size_multiple, input_1CHW.shape[-2:]
    # Strips begin and end where the network's own grid does, so that none but the last is extended by it.
    halo = -(-network.reach_pixels // multiple) * multiple
    step = (
        max((strip_pixels or STRIP_PIXELS) // width // multiple, -(-network.smallest_side_pixels // multiple))
        * multiple
    )
    parts = []
    for top in range(0, height, step):
        bottom = min(top + step, height)
        # A last strip of few rows would be refused for its size.
        start = max(0, min(top - halo, (height - network.smallest_side_pixels) // multiple * multiple))
        strip = net(input_1CHW[..., start : min(bottom + halo, height), :])[-1]
        parts.append(strip[..., top - start : bottom - start, :])
    return torch.cat(parts, dim=2)
