"""Features in, the same features re-weighted by triplet attention out (section 3, Misra et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """[max, mean] planes B2RC in, weights B1RC between 0 and 1 out: a 7x7 convolution, batch norm and sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, planes_B2RC: Tensor) -> Tensor:
        weights: Tensor = torch.sigmoid(self.norm(self.conv(planes_B2RC)))
        return weights


class TripletAttention(nn.Module):
    """x_BCHW in, x times the average of its three gates out.

    Each gate sees x pooled (max and mean) along one axis: `spatial` along C (H x W), `column` along H (C x W) and
    `row` along W (H x C). Pooling along an axis where it lies replaces the usual permuted copies.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spatial = Gate()
        self.column = Gate()
        self.row = Gate()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        a_B1HW: Tensor = self.spatial(pool(x_BCHW, 1))
        a_BC1W: Tensor = self.column(pool(x_BCHW, 2)).transpose(1, 2)
        a_BCH1: Tensor = self.row(pool(x_BCHW, 3).transpose(2, 3)).permute(0, 3, 2, 1)
        return x_BCHW * ((a_B1HW + a_BC1W + a_BCH1) / 3)


def pool(x_BCHW: Tensor, axis: int) -> Tensor:
    """Maximum and mean along `axis`, stacked as two planes: B2HW, B2CW or B2CH."""
    return torch.stack((x_BCHW.amax(axis), x_BCHW.mean(axis)), dim=1)
