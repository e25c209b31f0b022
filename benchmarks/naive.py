"""The release's checkpoint in, its network as a competent author writes it down out: the peer of our benchmarks.

It is plain eager PyTorch, one line for each sentence of the method: dense 21 x 21 Gaussian kernels in one grouped
convolution, on y and x at every scale; triplet attention by permuted copies; batch norm as a layer; a Conv-LSTM that
starts from zeros; and the 132 products of equation (9) as one tensor. Names and shapes are the release's, so its
checkpoints load as they are. Heights and widths must be multiples of 16. Products of layers are left to PyTorch's own
kernels: nothing here is slower than it has to be for being plain. So the dense convolution gets its image with the
channels last: laid out as usual, oneDNN takes four times as long for it, and, from about half a megapixel on, on
processors without AVX-512, a hundred times (`blur_layout` gives the usual layout back).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.networks.gkmnet.kernels import official_bank

M, K = 21, 22


def conv_norm_relu(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


def up_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """2x2 transposed convolution of stride 2, batch norm, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 2, 2), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


class NaiveGate(nn.Module):
    """x [B, C, H, W] in, x times a gate that was found by pooling its second axis out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Module()
        self.conv.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.conv.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat((x.max(1, keepdim=True).values, x.mean(1, keepdim=True)), dim=1)
        return x * torch.sigmoid(self.conv.bn(self.conv.conv(pooled)))


class NaiveTripletAttention(nn.Module):
    """Three gates, on x and on two permuted copies of it, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.cw, self.hc, self.hw = NaiveGate(), NaiveGate(), NaiveGate()

    def forward(self, x: Tensor) -> Tensor:
        column = self.cw(x.permute(0, 2, 1, 3).contiguous()).permute(0, 2, 1, 3).contiguous()
        row = self.hc(x.permute(0, 3, 2, 1).contiguous()).permute(0, 3, 2, 1).contiguous()
        return (self.hw(x) + column + row) / 3


class NaiveResidual(nn.Module):
    """Two convolutions, each added to what it was given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.conv1 = conv_norm_relu(channels, channels), conv_norm_relu(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.conv(x)
        return x + self.conv1(x)


class NaiveBlock(nn.Module):
    """An entry layer, two residual convolutions, triplet attention."""

    def __init__(self, entry: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.conv, self.res_block, self.ta = entry, NaiveResidual(channels), NaiveTripletAttention()

    def forward(self, x: Tensor) -> Tensor:
        return self.ta(self.res_block(self.conv(x)))


class NaiveConvLSTM(nn.Module):
    """Input, hidden and cell maps in, the next hidden and cell maps out."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels + channels, 4 * channels, 5, padding=2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o, g = self.conv(torch.cat((x, h), dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class NaiveGKMNet(nn.Module):
    """blurred [B, 3, H, W] in, three results from coarse to fine out."""

    def __init__(self, width: int = 32, blur_layout: torch.memory_format = torch.channels_last) -> None:
        super().__init__()
        w = width
        self.width = w
        self.blur_layout = blur_layout
        self.in_block = NaiveBlock(nn.Sequential(nn.Conv2d(3, w, 3, padding=1)), w)
        self.conv_block1_1 = NaiveBlock(conv_norm_relu(w, 2 * w, stride=2), 2 * w)
        self.conv_block2_1 = NaiveBlock(conv_norm_relu(2 * w, 4 * w, stride=2), 4 * w)
        self.bottle_neck_1 = NaiveBlock(conv_norm_relu(4 * w, 4 * w), 4 * w)
        self.conv_block3_1 = NaiveBlock(up_norm_relu(4 * w, 2 * w), 2 * w)
        self.conv_block4_1 = NaiveBlock(up_norm_relu(2 * w, w), w)
        self.APU = nn.Module()
        self.APU.conv = nn.Module()
        self.APU.conv.conv = conv_norm_relu(w, 2 * K)
        self.APU.conv_atten = NaiveConvLSTM(w, 2 * K)
        self.SumLayer = nn.Module()
        self.SumLayer.conv = nn.Conv2d(6 * K, 3, 1)
        kernels = official_bank(M).dense(M).float()
        self.register_buffer("kernels", kernels.repeat_interleave(3, dim=0)[:, None], persistent=False)

    def blur(self, image: Tensor) -> Tensor:
        """66 filtered maps."""
        image = image.contiguous(memory_format=self.blur_layout)
        return functional.conv2d(image, self.kernels, padding=M // 2, groups=3).contiguous()

    def scale(self, y: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The result of one scale, and the next state."""
        features = self.in_block(y)
        half = self.conv_block1_1(features)
        quarter = self.conv_block2_1(half)
        features = self.bottle_neck_1(quarter) + quarter
        features = self.conv_block3_1(features) + half
        features = self.conv_block4_1(features)
        h, c = self.APU.conv_atten(functional.avg_pool2d(features, 2), h, c)
        g1, g2 = functional.interpolate(h, scale_factor=2, mode="nearest"), self.APU.conv.conv(features)
        gamma = 2 * torch.sigmoid(g1 * g2 + g1) - 1
        gamma_y, gamma_x = gamma.chunk(2, dim=1)
        products = torch.cat((self.blur(y) * gamma_y.repeat(1, 3, 1, 1), self.blur(x) * gamma_x.repeat(1, 3, 1, 1)), 1)
        return self.SumLayer.conv(products), h, c

    def forward(self, blurred: Tensor) -> list[Tensor]:
        half = functional.interpolate(blurred, scale_factor=0.5, mode="bilinear", antialias=True)
        quarter = functional.interpolate(half, scale_factor=0.5, mode="bilinear", antialias=True)
        batch, _, height, width = quarter.shape
        x = quarter
        h = c = blurred.new_zeros(batch, 2 * K, height // 2, width // 2)
        results: list[Tensor] = []
        for y in (quarter, half, blurred):
            if results:
                x, h, c = (
                    functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
                    for maps in (x, h, c)
                )
            x, h, c = self.scale(y, x, h, c)
            results.append(x)
        return results
