"""A blurred photograph in, maps of its blur from coarse to fine out: VGG19 and a decoder (Lee et al., CVPR 2019).

A map's values are diameters of the circle of confusion, as shares of `LARGEST_DIAMETER_PIXELS`. Shape legend: B images,
C channels, H x W pixels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_DIAMETER_PIXELS = 15.0
"""What a map's 1 stands for."""
VGG_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Red, green and blue that VGG's photographs have on average (Simonyan and Zisserman, 2015)."""
VGG19 = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))
"""Channels, in multiples of the first stage's, and convolutions of each stage."""
HALVINGS = len(VGG19) - 1


def to_sigmas(maps: Tensor) -> Tensor:
    """Sigma in pixels for a map's values: half of what the diameter is more than a pixel, as in the release."""
    return ((maps * LARGEST_DIAMETER_PIXELS - 1) / 2).clamp_min(0)


def from_sigmas(sigmas: Tensor) -> Tensor:
    """A map's values for sigmas in pixels."""
    return (2 * sigmas + 1) / LARGEST_DIAMETER_PIXELS


def conv(in_channels: int, out_channels: int, kernel_size: int = 3) -> nn.Conv2d:
    """A convolution with a bias that sees the border's pixels go on beyond it."""
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, padding_mode="replicate")


def norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm that shifts, but does not scale."""
    made = nn.BatchNorm2d(channels)
    made.register_parameter("weight", None)
    return made


class Normed(nn.Module):
    """A convolution and its batch norm; then leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel_size)
        self.norm = norm(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return functional.leaky_relu(self.norm(self.conv(x_BCHW)), 0.2, inplace=True)


class Stage(nn.Sequential):
    """Some convolutions of VGG19, a ReLU after each."""

    def __init__(self, in_channels: int, out_channels: int, convolutions: int) -> None:
        channels = [in_channels, *[out_channels] * convolutions]
        super().__init__(*(layer for pair in pairwise(channels) for layer in (conv(*pair), nn.ReLU(inplace=True))))


class Refinement(nn.Module):
    """Two 3x3 convolutions beside one of 1x1, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Normed(channels, channels), Normed(channels, channels)
        self.beside = Normed(channels, channels, kernel_size=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        added: Tensor = self.second(self.first(x_BCHW)) + self.beside(x_BCHW)
        return added


class Auxiliary(nn.Module):
    """Features of a stage in, a map at its size out: for training alone."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.hidden = Normed(in_channels, hidden_channels)
        self.conv = conv(hidden_channels, 1)
        self.norm = norm(1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.sigmoid(self.norm(self.conv(self.hidden(x_BCHW))))


class MapNetwork(nn.Module):
    """VGG19 to a sixteenth of the size, a decoder back with what each stage saw, residual blocks, the map."""

    mean_3: Tensor

    def __init__(self, width: int, refinements: int) -> None:
        super().__init__()
        w, half = width, width // 2
        channels = [3, *(share * w for share, _ in VGG19)]
        self.register_buffer("mean_3", torch.tensor(VGG_MEAN), persistent=False)
        self.encoder = nn.ModuleList(
            Stage(before, after, count) for (before, after), (_, count) in zip(pairwise(channels), VGG19, strict=True)
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(Normed(seen, out), *(Normed(out, out) for _ in range(further)))
            for seen, out, further in ((16 * w, 4 * w, 2), (8 * w, 2 * w, 2), (4 * w, w, 2), (2 * w, w, 0))
        )
        self.auxiliary = nn.ModuleList(
            Auxiliary(seen, hidden)
            for seen, hidden in ((8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w), (w, half), (w, half))
        )
        self.refinement = nn.Sequential(*(Refinement(w) for _ in range(refinements)))
        self.last = nn.Sequential(Normed(w, w), Normed(w, half), conv(half, 1))
        self.apply(_start)

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """Maps in (0, 1), [B, 1, H, W]: in training mode five auxiliary ones from a sixteenth of the size on, and last
        the map itself; else this alone. Heights and widths are multiples of 16."""
        x = blurred_B3HW - self.mean_3[:, None, None]
        x = x.to(self.get_parameter("last.2.weight").dtype).contiguous(memory_format=torch.channels_last)
        seen: list[Tensor] = []
        for number, stage in enumerate(self.encoder):
            x = stage(functional.max_pool2d(x, 2) if number else x)
            seen.append(x)
        features = [x]
        for stage, beside in zip(self.decoder, reversed(seen[:-1]), strict=True):
            x = stage(torch.cat((functional.interpolate(x, scale_factor=2.0, mode="nearest"), beside), dim=1))
            features.append(x)
        found = [torch.sigmoid(self.last(self.refinement(x)))]
        if self.training:
            found = [*(head(one) for head, one in zip(self.auxiliary, features, strict=True)), *found]
        return found


def _start(module: nn.Module) -> None:
    """Weights after He et al. (2015) and zero biases; before a sigmoid, where one channel is left, after Glorot."""
    if isinstance(module, nn.Conv2d):
        if module.out_channels == 1:
            nn.init.xavier_uniform_(module.weight)
        else:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
