"""A state dict in the authors' layout in, the same function written down plainly out: the peer of tests and benchmarks.

Eager PyTorch with the channels first, one line for each sentence of the method: mirrored borders by padding, a grouped
convolution for each pass of each recursive kernel, all filtered versions side by side, their products with the maps as
one tensor, batch norm as a layer, a Conv-LSTM that starts from zeros. Heights and widths must be multiples of 16, and
at least 32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, KERNELS, SCALES = 64, 21, 3


class Layers(nn.Module):
    """What is under `main` in the authors' names, one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


def conv(in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> Layers:
    """3x3 convolution without a bias, its border mirrored, and ReLU."""
    layer = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False, padding_mode="reflect")
    return Layers(layer, nn.ReLU(inplace=True)) if relu else Layers(layer)


def up(in_channels: int, out_channels: int) -> Layers:
    """4x4 transposed convolution of stride 2 without a bias, and ReLU."""
    return Layers(nn.ConvTranspose2d(in_channels, out_channels, 4, 2, padding=1, bias=False), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions, added to what they were given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(conv(channels, channels), conv(channels, channels, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class Block(nn.Module):
    """One residual block, under the authors' name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Residual(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class RecursiveKernels(nn.Module):
    """image [B, 3, H, W] in, 3(K+1) filtered channels out, version by version."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.rand(3 * KERNELS, 1, 1, 2))

    def forward(self, image: Tensor) -> Tensor:
        taps = torch.softmax(torch.cat((self.kernels, self.kernels[..., :1]), dim=-1), dim=-1)
        versions = [image]
        for k in range(KERNELS):
            own = taps[3 * k : 3 * k + 3]
            padded = functional.pad(versions[-1], (1, 1, 1, 1), mode="reflect")
            rows = functional.conv2d(padded, own, groups=3)
            versions.append(functional.conv2d(rows, own.mT, groups=3))
        return torch.cat(versions, dim=1)


class ConvLSTM(nn.Module):
    """Input, hidden and cell maps in, the next hidden and cell maps out."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels + channels, 4 * channels, 5, padding=2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o, g = self.conv(torch.cat((x, h), dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class PlainNRKNet(nn.Module):
    """blurred [B, 3, H, W] in, the results of three scales and the final one out."""

    def __init__(self) -> None:
        super().__init__()
        w, maps = WIDTH, KERNELS + 1
        self.feat_extract = nn.ModuleList(
            (conv(3, w), conv(w, 2 * w, stride=2), conv(2 * w, 4 * w, stride=2), up(4 * w, 2 * w), up(2 * w, w))
        )
        self.Encoder = nn.ModuleList((Block(w), Block(2 * w), Block(4 * w)))
        self.Decoder = nn.ModuleList((Block(4 * w), Block(2 * w), Block(w)))
        self.bottleneck = nn.Sequential(conv(4 * w, 4 * w), Block(4 * w))
        self.APU = nn.Module()
        self.APU.conv = Layers(
            nn.Conv2d(w, maps, 3, padding=1, bias=False, padding_mode="reflect"),
            nn.BatchNorm2d(maps),
            nn.ReLU(inplace=True),
        )
        self.APU.conv_atten = ConvLSTM(w, maps)
        self.GCM = RecursiveKernels()
        self.SummationLayer = nn.Module()
        self.SummationLayer.conv = nn.Conv2d(3 * maps, 3, 1)

    def features(self, image: Tensor) -> Tensor:
        """Encoder and decoder."""
        first = self.Encoder[0](self.feat_extract[0](image))
        second = self.Encoder[1](self.feat_extract[1](first))
        third = self.Encoder[2](self.feat_extract[2](second))
        z = self.Decoder[0](third + self.bottleneck(third))
        z = self.Decoder[1](self.feat_extract[3](z) + second)
        return self.Decoder[2](self.feat_extract[4](z) + first)

    def blur(self, image: Tensor, maps: Tensor) -> Tensor:
        """W(maps * G(image))."""
        return self.SummationLayer.conv(maps.repeat_interleave(3, dim=1) * self.GCM(image))

    def forward(self, blurred: Tensor, sharp: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """The deblurred versions from coarse to fine and the final one; the sharp image blurred again at each scale."""
        restored, reblurred, changes = [], [], []
        h = c = blurred.new_zeros(len(blurred), KERNELS + 1, *(side >> SCALES for side in blurred.shape[2:]))
        for scale in range(SCALES):
            shrink = 0.5 ** (SCALES - 1 - scale)
            y = functional.interpolate(blurred, scale_factor=shrink)
            if scale:
                h, c = (functional.interpolate(part, scale_factor=2, mode="bilinear") for part in (h, c))
            features = self.features(y)
            h, c = self.APU.conv_atten(functional.avg_pool2d(features, 2), h, c)
            u = functional.interpolate(h, scale_factor=2)
            maps = u * self.APU.conv(features) + u
            t, total = y, y
            for _ in range(SCALES - scale):
                t = t - self.blur(t, maps)
                total = total + t
            restored.append(total)
            changes.append(t)
            if sharp is not None:
                reblurred.append(self.blur(functional.interpolate(sharp, scale_factor=shrink), maps))
        coarse, middle, fine = changes
        up4, up2 = (
            functional.interpolate(part, scale_factor=factor, mode="bilinear")
            for part, factor in ((coarse, 4), (middle, 2))
        )
        restored.append(blurred + fine + up2 + up4)
        return restored, reblurred
