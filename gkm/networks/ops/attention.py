"""Features in, the same features re-weighted by triplet attention out (section 3, Misra et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gkm.networks.ops.pooling import pooled, reweighted


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
        maxima_BHW, means_BHW, maxima_BWC, means_BWC, maxima_BHC, means_BHC = pooled(x)
        a_BHW: Tensor = self.spatial(maxima_BHW, means_BHW)
        # Contiguous, lest its strides become those of everything that follows.
        a_BWC: Tensor = self.column(maxima_BWC.mT, means_BWC.mT).mT.contiguous()
        a_BHC: Tensor = self.row(maxima_BHC, means_BHC)
        return reweighted(x, a_BHW, a_BWC, a_BHC).permute(0, 3, 1, 2)
