"""Features in, the same features re-weighted by triplet attention out (section 3, Misra et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Planes of maxima and means [B, R, C] in, weights [B, R, C] in (0, 1) out: 7x7 convolution, norm, sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, maxima_BRC: Tensor, means_BRC: Tensor) -> Tensor:
        # Two planes are far from a block of channels: with the channels last the convolution is several times faster.
        planes_B2RC = torch.stack((maxima_BRC, means_BRC), dim=3).permute(0, 3, 1, 2)
        weights: Tensor = torch.sigmoid(self.norm(self.conv(planes_B2RC)))
        return weights[:, 0]


class TripletAttention(nn.Module):
    """x_BCHW in, x times the average of its three gates out.

    Each gate sees x pooled (max and mean) along one axis: `spatial` along C (H x W), `column` along H (C x W) and
    `row` along W (H x C). x is taken with its channels last, and flattened so that every pooling runs over whole
    rows of memory; the usual implementation makes permuted copies of x instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spatial = Gate()
        self.column = Gate()
        self.row = Gate()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x = x_BCHW.permute(0, 2, 3, 1).contiguous()
        B, H, W, C = x.shape
        a_BHW1: Tensor = self.spatial(_maxima_of_channels(x), _means_of_channels(x)).unsqueeze(3)
        rows, columns = x.view(B, H, W * C), x.view(B * H, W, C)
        maxima, means = rows.amax(1).view(B, W, C), _means_of_rows(rows).view(B, W, C)
        # Contiguous, lest its strides become those of everything that follows.
        a_B1WC: Tensor = self.column(maxima.mT, means.mT).mT.contiguous().unsqueeze(1)
        maxima, means = _maxima_of_rows(columns).view(B, H, C), _means_of_rows(columns).view(B, H, C)
        a_BH1C: Tensor = self.row(maxima, means).unsqueeze(2)
        if torch.is_grad_enabled():
            return (x * ((a_BHW1 + a_B1WC + a_BH1C) / 3)).permute(0, 3, 1, 2)
        # One tensor of x's size is made and read again while it is in the cache, instead of four.
        product = (a_BHW1 / 3 + a_B1WC / 3).add_(a_BH1C / 3).mul_(x)
        return product.permute(0, 3, 1, 2)


def _maxima_of_channels(x_BHWC: Tensor) -> Tensor:
    """Maxima [B, H, W]. Processors have no instructions for maxima of bfloat16 within a row, but for float32."""
    if x_BHWC.dtype == torch.bfloat16 and x_BHWC.device.type == "cpu" and not torch.compiler.is_compiling():
        return x_BHWC.float().amax(3).bfloat16()
    return x_BHWC.amax(3)


def _means_of_channels(x_BHWC: Tensor) -> Tensor:
    """Means [B, H, W]. PyTorch copies bfloat16 into float32 for a mean, but not for a product of matrices."""
    if x_BHWC.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return x_BHWC.mean(3)
    return (x_BHWC @ x_BHWC.new_ones(x_BHWC.shape[3])) / x_BHWC.shape[3]


def _means_of_rows(x_BRC: Tensor) -> Tensor:
    """Means [B, C] over R, in the same way."""
    batch, rows, _ = x_BRC.shape
    if x_BRC.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return x_BRC.mean(1)
    return torch.bmm(x_BRC.new_ones(1, 1, rows).expand(batch, -1, -1), x_BRC)[:, 0] / rows


def _maxima_of_rows(x_RWC: Tensor) -> Tensor:
    """Maxima [R, C]; PyTorch's bfloat16 needs many columns side by side, so eight neighbours are laid together."""
    rows, width, channels = x_RWC.shape
    if x_RWC.dtype != torch.bfloat16 or width < 16 or torch.compiler.is_compiling():
        return x_RWC.amax(1)
    whole = width // 8 * 8
    maxima = x_RWC[:, :whole].view(rows, whole // 8, 8 * channels).amax(1).view(rows, 8, channels)
    return torch.cat((maxima, x_RWC[:, whole:]), dim=1).float().amax(1).bfloat16()
