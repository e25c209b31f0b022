"""A blurred photograph in, its deblurred versions from coarse to fine out: AttNet (after Xu et al., CVIU 2021).

Shape legend: B images, C channels, H x W pixels. What is known of the network, and what was decided here, is in
docs/fidelity.md.
"""

from __future__ import annotations

from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from gkm.config.attnet import AttNetConfig
from gkm.errors import InputError
from gkm.networks.ops.scale_recurrent import KERNEL_SIZE, EncoderDecoder, Residual, ScaleRecurrent, rectified

FEWEST_HIDDEN = 4
"""Numbers that the channel attention computes with at least, lest ReLU leaves none."""


class ChannelAttention(nn.Module):
    """x_BCHW in, a weight for each of its channels [B, C, 1, 1] out (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(min(channels, FEWEST_HIDDEN), channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        weights_BC = torch.sigmoid(self.excite(rectified(self.squeeze(x_BCHW.mean((2, 3))))))
        return weights_BC[:, :, None, None]


class SpatialAttention(nn.Module):
    """x_BCHW in, a weight for each of its pixels [B, 1, H, W] out (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, KERNEL_SIZE, padding=KERNEL_SIZE // 2, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        planes_B2HW = torch.cat((x_BCHW.amax(1, keepdim=True), x_BCHW.mean(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.conv(planes_B2HW))


class AttentiveResidual(Residual):
    """x plus what a residual block adds, weighted by channel and then by pixel."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__(channels)
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change = self.change(x_BCHW)
        change = change * self.channel(change)
        weighted: Tensor = x_BCHW + change * self.spatial(change)
        return weighted


class AttNet(ScaleRecurrent):
    """Scale-recurrent encoder-decoder whose residual blocks attend to channels and to pixels."""

    config: AttNetConfig

    def __init__(self, config: AttNetConfig) -> None:
        block = partial(AttentiveResidual, reduction=config.reduction)
        super().__init__(config, EncoderDecoder(config.width, config.blocks, up_kernel_size=4, block=block))

    def with_window(self, pixels: int | None) -> Self:
        raise InputError("attnet: its attention has no windows, only averages over whole photographs; leave them out")
