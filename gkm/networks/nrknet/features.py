"""An image in, its features out: the encoder and decoder of NRKNet, all of 3x3 convolutions with a mirrored border.

Shape legend: B images, C channels (`width` of the settings), H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def mirrored_conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without a bias; beyond its border the image is mirrored, without repeating the last pixel."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False, padding_mode="reflect")


def doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A 4x4 transposed convolution without a bias that doubles height and width."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)


def rectified(x: Tensor) -> Tensor:
    """ReLU, in place: nobody asks again for what it was given."""
    return functional.relu(x, inplace=True)


class Residual(nn.Module):
    """x + second(ReLU(first(x))), without norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first: nn.Module = mirrored_conv(channels, channels)
        self.second: nn.Module = mirrored_conv(channels, channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        change: Tensor = self.second(rectified(self.first(x_BCHW)))
        return change + x_BCHW if torch.is_grad_enabled() else change.add_(x_BCHW)


class Features(nn.Module):
    """image_B3HW in, features_BCHW out; height and width are multiples of 4 and at least 8."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        w = width

        def stage(channels: int) -> nn.Sequential:
            return nn.Sequential(*(Residual(channels) for _ in range(blocks)))

        self.stem = mirrored_conv(3, w)
        self.encoder1 = stage(w)
        self.down2 = mirrored_conv(w, 2 * w, stride=2)
        self.encoder2 = stage(2 * w)
        self.down3 = mirrored_conv(2 * w, 4 * w, stride=2)
        self.encoder3 = stage(4 * w)
        self.bottleneck: nn.Module = mirrored_conv(4 * w, 4 * w)
        self.bottleneck_blocks = stage(4 * w)
        self.decoder3 = stage(4 * w)
        self.up2 = doubling(4 * w, 2 * w)
        self.decoder2 = stage(2 * w)
        self.up1 = doubling(2 * w, w)
        self.decoder1 = stage(w)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        full = self.encoder1(rectified(self.stem(image_B3HW)))
        half = self.encoder2(rectified(self.down2(full)))
        quarter = self.encoder3(rectified(self.down3(half)))
        z = self.bottleneck_blocks(rectified(self.bottleneck(quarter)))
        z = self.decoder3(quarter + z)
        z = self.decoder2(rectified(self.up2(z)) + half)
        features: Tensor = self.decoder1(rectified(self.up1(z)) + full)
        return features
