"""Results of all scales and the sharp image in, NRKNet's cost out.

The cost of a pair of images is given, so that squared error and SSIM are the ones that all networks share
(`gkm.losses.squared_l2`, `gkm.losses.ssim_loss`). Shape legend: B images, 3 channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gkm.losses import fourier_l1

PairCost = Callable[[Tensor, Tensor], Tensor]
"""Two images [B, 3, h, w] in, a scalar out that is zero where they agree."""

FOURIER_WEIGHT = 0.1
"""Weight of the Fourier term beside the cost of a pair; the authors have it with squared error, and not with SSIM."""


def restoration_cost(
    outputs: Sequence[Tensor], sharp_B3HW: Tensor, cost: PairCost, *, fourier_weight: float = FOURIER_WEIGHT
) -> Tensor:
    """The weighted sum, over the results of `NRKNet.forward`, of their cost and of the Fourier term.

    The final result weighs 1, those before it 0.75, 0.5, 0.25 from fine to coarse (for other numbers of scales: equal
    steps). The sharp image is brought to each size by `shrunk`.
    """
    # Differences of squares do not survive 16 bits, whatever the network itself ran in.
    with torch.autocast(sharp_B3HW.device.type, enabled=False):
        total = sharp_B3HW.new_zeros(())
        for place, output in enumerate(outputs, 1):
            restored, sharp = output.to(sharp_B3HW.dtype), shrunk(sharp_B3HW, output)
            term = cost(restored, sharp)
            if fourier_weight:
                term = term + fourier_weight * fourier_l1(restored, sharp)
            total = total + term * (place / len(outputs))
    return total


def reblurring_cost(reblurred: Sequence[Tensor], blurred_B3HW: Tensor) -> Tensor:
    """The weighted sum, over the scales of `NRKNet.with_reblurred`, of the squared error to the blurred image.

    A scale weighs as much as its result does in `restoration_cost`.
    """
    with torch.autocast(blurred_B3HW.device.type, enabled=False):
        total = blurred_B3HW.new_zeros(())
        for place, again in enumerate(reblurred, 1):
            error = functional.mse_loss(again.to(blurred_B3HW.dtype), shrunk(blurred_B3HW, again))
            total = total + error * (place / (len(reblurred) + 1))
    return total


def shrunk(image_B3HW: Tensor, like_B3HW: Tensor) -> Tensor:
    """The image halved n times in one bilinear step without antialiasing, until it is no higher than the other one."""
    height, width = image_B3HW.shape[-2:]
    factor = 1
    while -(-height // factor) > like_B3HW.shape[-2]:
        factor *= 2
    if factor == 1:
        return image_B3HW
    extended = functional.pad(image_B3HW, (0, -width % factor, 0, -height % factor), mode="replicate")
    return functional.interpolate(extended, scale_factor=1 / factor, mode="bilinear")


def cost_name(epoch: int, epochs: int) -> str:
    """The pair cost of the authors' schedule in `epoch` (from 0) of `epochs`: "l2" or "ssim".

    Squared error for the first fifth and a fiftieth of the run, then SSIM and squared error in turn, a fiftieth each.
    """
    part = epoch * 50 // epochs
    return "ssim" if part > 10 and part % 2 else "l2"


def learning_rate_factor(epoch: int, epochs: int) -> float:
    """What multiplies the learning rate in `epoch` (from 0) of `epochs`: lowered after 2, 3 and 4 fifths of the run."""
    return (1.0, 1.0, 0.5, 0.25, 0.1)[epoch * 5 // epochs]
