"""Features in, the same features re-weighted by triplet attention out (section 3, Misra et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gkm.networks.ops.pooling import pooled, reweighted
from gkm.networks.ops.windows import Windows

ROWS_AT_A_TIME = 32
"""Weighted by gates that differ from row to row."""
Planes = tuple[Tensor, Tensor]
"""Maxima and means."""


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

    def forward(self, x_BCHW: Tensor, window: int | None = None) -> Tensor:
        """With `window`, `column` and `row` pool over windows of so many rows and columns (see `Windows`)."""
        x = x_BCHW.permute(0, 2, 3, 1).contiguous()
        if window is not None and window < max(x.shape[1:3]):
            return self._within(x, window).permute(0, 3, 1, 2)
        maxima_BHW, means_BHW, maxima_BWC, means_BWC, maxima_BHC, means_BHC = pooled(x)
        a_BHW: Tensor = self.spatial(maxima_BHW, means_BHW)
        # Contiguous, lest its strides become those of everything that follows.
        a_BWC: Tensor = self.column(maxima_BWC.mT, means_BWC.mT).mT.contiguous()
        a_BHC: Tensor = self.row(maxima_BHC, means_BHC)
        return reweighted(x, a_BHW, a_BWC, a_BHC).permute(0, 3, 1, 2)

    def _within(self, x_BHWC: Tensor, window: int) -> Tensor:
        height, width = x_BHWC.shape[1:3]
        down, along = Windows(height, window), Windows(width, window)
        a_BHW: Tensor = self.spatial(x_BHWC.amax(3), x_BHWC.mean(3))
        weights = self.weights_within(
            down,
            down.pooled(lambda rows: x_BHWC[:, rows], 1),
            along,
            along.pooled(lambda columns: x_BHWC[:, :, columns], 2),
        )
        strips = []
        for top in range(0, height, ROWS_AT_A_TIME):
            rows = slice(top, min(top + ROWS_AT_A_TIME, height))
            strips.append((a_BHW[:, rows, :, None] / 3 + weights(rows)) * x_BHWC[:, rows])
        return torch.cat(strips, dim=1)

    def weights_within(
        self, down: Windows, column_BJWC: Planes, along: Windows, row_BHJC: Planes
    ) -> Callable[[slice], Tensor]:
        """What `column` and `row` add to the weights [B, h, W, C] of any h rows, from what was pooled over windows.

        `column_BJWC` is pooled over the windows `down`, J of them, `row_BHJC` over those `along`.
        """
        a_BJWC = _of_each(self.column, 1, *(plane.mT for plane in column_BJWC)).mT.contiguous()
        a_BHJC = _of_each(self.row, 2, *row_BHJC)
        columns = slice(0, along.length)

        def weights(rows: slice) -> Tensor:
            of_columns, of_rows = down.mixed(a_BJWC, 1, rows), along.mixed(a_BHJC[:, rows], 2, columns)
            added: Tensor = (of_columns + of_rows) / 3
            return added

        return weights


def _of_each(gate: Gate, axis: int, *planes: Tensor) -> Tensor:
    """The weights that `gate` gives to the planes of each window, which lie along `axis`."""
    apart = [plane.movedim(axis, 1) for plane in planes]
    weights: Tensor = gate(*(plane.flatten(0, 1) for plane in apart))
    return weights.view(apart[0].shape).movedim(1, axis)
