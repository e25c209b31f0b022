"""A GKMNet in, a copy of it that can be exported with free height and width out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet


def export_form(model: GKMNet) -> nn.Module:
    """The last scale's result of `model` in its form for inference, on the CPU.

    Raises InputError for one with windows, whose number follows from the height and width of the photograph.
    """
    if model.config.window_pixels is not None:
        raise InputError(
            "gkmnet: with model.window_pixels it cannot be exported with free height and width; "
            "export it without, by network.with_window(None)"
        )
    return _Finest(model.for_inference().cpu())


class _Finest(nn.Module):
    """With a pyramid whose sizes are whole numbers for the tracer, too."""

    def __init__(self, network: GKMNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, blurred_13HW: Tensor) -> Tensor:
        images = [blurred_13HW]
        for _ in range(self.network.config.num_scales - 1):
            images.append(_halve(images[-1]))
        return self.network.at_scales(images[::-1])[-1]


def _halve(image_13HW: Tensor) -> Tensor:
    """`pyramid`'s bilinear halving with antialiasing, as a convolution by (1, 3, 3, 1) / 8, or what of it is inside."""
    taps = image_13HW.new_tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)[None, None]
    sums = functional.conv2d(image_13HW, kernel.expand(3, 1, 4, 4), stride=2, padding=1, groups=3)
    weights = functional.conv2d(torch.ones_like(image_13HW[:, :1]), kernel, stride=2, padding=1)
    return sums / weights
