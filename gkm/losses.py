"""Outputs of all scales and the sharp image in, the scalar loss (10) out; and what the schedules say at an epoch.

The paper's text gives the schedule in epochs of a run of 3000; here every schedule keeps its shape at any length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gkm.config import LossConfig, OptimConfig
from gkm.metrics import SSIM_C1, SSIM_C2, SSIM_SIGMA_PIXELS, SSIM_WINDOW_PIXELS

Cost = Literal["l2", "ssim"]


def cost_name(schedule: str, epoch: int, epochs: int) -> Cost:
    """The cost C of equation (10) in `epoch` (from 0) of `epochs`, by the name of a schedule (see LossConfig).

    "paper" (section 4): l2 for the first third, then SSIM and l2 in turn, a sixth each. "release": l2 for the first
    quarter, then SSIM and l2 in turn, a fortieth each. "l2" and "ssim": that cost throughout.
    """
    match schedule:
        case "l2":
            return "l2"
        case "ssim":
            return "ssim"
        case "paper":
            return _alternate(epoch, epochs, parts=6, first=2)
        case "release":
            return _alternate(epoch, epochs, parts=40, first=10)
        case _:
            raise ValueError(f"schedule {schedule!r} is not known; use paper, release, l2 or ssim")


def _alternate(epoch: int, epochs: int, *, parts: int, first: int) -> Cost:
    """l2 in the first `first` of `parts` equal parts of the run, then SSIM and l2 in turn."""
    part = epoch * parts // epochs
    return "l2" if part < first or (part - first) % 2 else "ssim"


def learning_rate_at(optim: OptimConfig, epoch: int, epochs: int) -> float:
    """The learning rate in `epoch` (from 0) of `epochs`: by default it drops once, after a share of them (section 4).

    Of E warm-up epochs, epoch e has (e + 1) / (E + 1) of what it would have without; a cosine begins after them.
    """
    warmup = min(1.0, (epoch + 1) / (optim.warmup_epochs + 1))
    if optim.schedule == "cosine":
        length = epochs - 1 - optim.warmup_epochs
        done = min(1.0, max(0, epoch - optim.warmup_epochs) / length) if length > 0 else 0.0
        left = optim.decay_factor + (1 - optim.decay_factor) * (1 + math.cos(math.pi * done)) / 2
        return optim.learning_rate * left * warmup
    apart = (1 - optim.decay_after) / optim.decays
    drops = sum(epoch >= (optim.decay_after + number * apart) * epochs for number in range(optim.decays))
    return optim.learning_rate * (optim.decay_factor**drops if drops else 1.0) * warmup


def multi_scale_loss(
    outputs: Sequence[Tensor], sharp_B3HW: Tensor, cost: str, *, fourier_weight: float = 0.0
) -> Tensor:
    """Equation (10): the sum over all scales of the cost between an output and the sharp image at its size.

    `outputs` are [B, 3, h, w] with h = ceil(H / 2^s), w = ceil(W / 2^s); the sharp image is brought to each size by
    bilinear (antialiased) halving, as the network's own pyramid is. `cost` is "l2" or "ssim"; `fourier_weight` times
    `fourier_l1` is added to it at each scale.
    """
    measure = squared_l2 if cost == "l2" else ssim_loss
    # Differences of squares do not survive 16 bits, whatever the network itself ran in.
    with torch.autocast(sharp_B3HW.device.type, enabled=False):
        pairs = [(output.to(sharp_B3HW.dtype), shrink_to(sharp_B3HW, output)) for output in outputs]
        losses = [measure(restored, sharp) for restored, sharp in pairs]
        if fourier_weight:
            losses += [fourier_weight * fourier_l1(restored, sharp) for restored, sharp in pairs]
        return torch.stack(losses).sum()


def scheduled_loss(outputs: Sequence[Tensor], sharp_B3HW: Tensor, loss: LossConfig, epoch: int, epochs: int) -> Tensor:
    """`multi_scale_loss` as `loss` has it in `epoch` (from 0) of `epochs`."""
    cost = cost_name(loss.schedule, epoch, epochs)
    return multi_scale_loss(outputs, sharp_B3HW, cost, fourier_weight=loss.fourier_weight)


def squared_l2(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """Mean squared difference."""
    return functional.mse_loss(restored_B3HW, sharp_B3HW)


def fourier_l1(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """Mean absolute difference of the real, plus that of the imaginary parts of the (unnormed) Fourier transforms.

    It is that of NRKNet's authors (Quan, Wu and Ji, 2023); an error that is noise counts in proportion to the crop's
    side.
    """
    difference = torch.view_as_real(torch.fft.fft2(restored_B3HW - sharp_B3HW))
    loss: Tensor = 2 * difference.abs().mean()
    return loss


def ssim_loss(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """1 - SSIM (Wang et al., 2004) of images in [0, 1], over windows that lie within the image.

    The windows are Gaussian, 11 taps with sigma 1.5, as in the release; small coarse scales get the largest odd window
    that fits. Averaging by banded matrices is about ten times as fast on a processor as convolving one channel.
    """
    height, width = restored_B3HW.shape[-2:]
    size = min(SSIM_WINDOW_PIXELS, (min(height, width) - 1) // 2 * 2 + 1)
    a, b = restored_B3HW, sharp_B3HW
    moments = torch.stack((a, b, a * a + b * b, a * b))
    averages = _averaging(height, size, a).mT @ (moments @ _averaging(width, size, a))
    mean_a, mean_b, squares, product = averages
    means = mean_a * mean_b
    squared_means = mean_a * mean_a + mean_b * mean_b
    luminance = (2 * means + SSIM_C1) / (squared_means + SSIM_C1)
    structure = (2 * (product - means) + SSIM_C2) / (squares - squared_means + SSIM_C2)
    loss: Tensor = 1 - (luminance * structure).mean()
    return loss


def _averaging(pixels: int, size: int, like: Tensor) -> Tensor:
    """Matrix [pixels, pixels - size + 1] whose columns are a Gaussian window at every place of a line of pixels."""
    distance = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    window = torch.exp(-(distance**2) / (2 * SSIM_SIGMA_PIXELS**2))
    window = window / window.sum()
    tap = torch.arange(pixels, device=like.device)[:, None] - torch.arange(pixels - size + 1, device=like.device)
    return torch.where((tap >= 0) & (tap < size), window[tap.clamp(0, size - 1)], 0)


def shrink_to(sharp_B3HW: Tensor, output_B3HW: Tensor) -> Tensor:
    """The sharp image halved bilinearly until it has the output's size, odd last rows and columns repeated."""
    height, width = output_B3HW.shape[-2:]
    while sharp_B3HW.shape[-1] > width or sharp_B3HW.shape[-2] > height:
        odd_rows, odd_columns = sharp_B3HW.shape[-2] % 2, sharp_B3HW.shape[-1] % 2
        sharp_B3HW = functional.pad(sharp_B3HW, (0, odd_columns, 0, odd_rows), mode="replicate")
        sharp_B3HW = functional.interpolate(sharp_B3HW, scale_factor=0.5, mode="bilinear", antialias=True)
    return sharp_B3HW
