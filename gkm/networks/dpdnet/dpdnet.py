"""A photograph, or its two dual-pixel views, in; its deblurred version out: DPDNet (Abuolaim and Brown, ECCV 2020).

Shape legend: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config.dpdnet import DPDNetConfig
from gkm.networks.network import Network, check_size
from gkm.networks.ops.convolution import Conv3x3
from gkm.networks.ops.extension import extended
from gkm.networks.ops.winograd import with_winograd


class TwoConvs(nn.Module):
    """Two 3x3 convolutions, a ReLU after each."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first: nn.Module = Conv3x3(in_channels, out_channels)
        self.second: nn.Module = Conv3x3(out_channels, out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return rectified(self.second(rectified(self.first(x_BCHW))))


class Up(nn.Module):
    """Twice as high and wide (nearest), a 2x2 convolution with ReLU to half the channels, the skip, two convolutions.

    The 2x2 convolution sees one row and one column of zeros beyond the bottom and the right border.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halving = nn.Conv2d(channels, channels // 2, kernel_size=2)
        self.convs = TwoConvs(channels, channels // 2)

    def forward(self, x_BCHW: Tensor, skip_BCHW: Tensor) -> Tensor:
        twice = functional.interpolate(x_BCHW, scale_factor=2, mode="nearest")
        halved = rectified(self.halving(functional.pad(twice, (0, 1, 0, 1))))
        result: Tensor = self.convs(torch.cat((skip_BCHW, halved), dim=1))
        return result


class DPDNet(Network):
    """The U-Net of DPDNet-S (`views` = "single") and DPDNet-D ("dual")."""

    config: DPDNetConfig

    def __init__(self, config: DPDNetConfig) -> None:
        super().__init__(config)
        self.size_multiple = 1 << (config.depth - 1)
        channels = [config.width << stage for stage in range(config.depth)]
        seen = 3 * len(self.inputs)
        self.encoder = nn.ModuleList(
            TwoConvs(before, after) for before, after in zip([seen, *channels], channels, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = nn.ModuleList(Up(deep) for deep in reversed(channels[1:]))
        self.narrowing = Conv3x3(config.width, 3)
        self.to_image = nn.Conv2d(3, 3, kernel_size=1)
        self.apply(start_he)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, seen_BCHW: Tensor) -> list[Tensor]:
        """The deblurred image in (0, 1), as a list of one.

        `seen_BCHW` in [0, 1] is the photograph [B, 3, H, W], or for "dual" the left and then the right view
        [B, 6, H, W], of any height and width of at least 16. Raises ValueError for other channels and smaller images.
        """
        check_size(self, seen_BCHW)
        height, width = seen_BCHW.shape[-2:]
        x = extended(seen_BCHW, self.size_multiple).to(self.to_image.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for stage, convs in enumerate(self.encoder):
            x = convs(functional.max_pool2d(x, 2) if stage else x)
            if stage >= self.config.depth - 2:
                x = self.dropout(x)
            skips.append(x)
        for up, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = up(x, skip)
        image = torch.sigmoid(self.to_image(rectified(self.narrowing(x))))
        return [image[..., :height, :width].to(seen_BCHW.dtype)]

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs: no dropout, channels last, fewer multiplications.

        It gives the same results as this network in evaluation mode but for rounding. With `dtype` bfloat16 all but the
        input and the result is in 16 bits.
        """
        copied = copy.deepcopy(self).eval().requires_grad_(False).to(dtype)
        return with_winograd(copied.to(memory_format=torch.channels_last))  # type: ignore[call-overload, no-any-return]


def rectified(x: Tensor) -> Tensor:
    """ReLU, in place: nobody asks again for what it was given."""
    return functional.relu(x, inplace=True)


def start_he(module: nn.Module) -> None:
    """Weights after He et al. (2015), and zero biases, for a convolution; other modules are left alone."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
