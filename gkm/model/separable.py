"""Image rows and one-dimensional kernels in, the rows filtered by every kernel out, and the adjoint of that.

Both passes are products of matrices, which processors do better than convolutions of few channels:
down the columns, kernels times the symmetric sums x[-d] + x[d]; along the rows, which are cut into blocks, blocks times
banded matrices. Shape legend: 3 channels, J kernels of each, h rows of W pixels, of P per block; r is a kernel's reach.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WHOLE_ROW_PIXELS = 96
"""Rows up to this length are one block."""


class SeparableFilter:
    """Symmetric kernels for the rows of images of one width.

    `taps_3JM` holds for each channel J one-dimensional kernels; each filters as a column and as a row, and what lies
    beyond the border is zero.
    """

    def __init__(self, taps_3JM: Tensor, width: int) -> None:
        self.reach = taps_3JM.shape[2] // 2
        self.width = width
        self.columns_3JR = taps_3JM[:, :, self.reach :].contiguous()
        self.one_block = width <= WHOLE_ROW_PIXELS
        if self.one_block:
            self.left, self.block, self.padded_width = 0, width, width
            self.bands = _bands(taps_3JM, width, width, self.reach)
        else:
            # A row starts with r zeros, and has zeros to spare for a block more: so a block and the next one hold all
            # that the results of a block need, and the rows can follow each other as one sequence of blocks.
            self.left, self.block = self.reach, max(16, -(-2 * self.reach // 8) * 8)
            self.padded_width = self.block * (-(-width // self.block) + 1)
            self.bands = _bands(taps_3JM, 2 * self.block, self.block, 0)

    def pad(self, image_3HW: Tensor) -> Tensor:
        """The image with r rows of zeros above and below, and its rows padded to whole blocks."""
        right = self.padded_width - self.width - self.left
        return functional.pad(image_3HW, (self.left, right, self.reach, self.reach))

    def filter(self, padded_3hW: Tensor) -> Tensor:
        """h rows [3, J, h, W], from h + 2r padded ones."""
        r, rows = self.reach, padded_3hW.shape[1] - 2 * self.reach
        sums = padded_3hW.new_empty(3, r + 1, rows, self.padded_width)
        sums[:, 0] = padded_3hW[:, r : r + rows]
        for d in range(1, r + 1):
            torch.add(padded_3hW[:, r - d : r - d + rows], padded_3hW[:, r + d : r + d + rows], out=sums[:, d])
        return self._along_rows(torch.bmm(self.columns_3JR, sums.flatten(2)), rows)

    def adjoint(self, rows_3JhW: Tensor) -> Tensor:
        """h + 2r padded rows [3, h + 2r, W] of the adjoint of `filter`, without the padding of their ends."""
        r, rows = self.reach, rows_3JhW.shape[2]
        along = self._along_rows(
            functional.pad(rows_3JhW, (self.left, self.padded_width - self.width - self.left)), rows
        )
        sums = torch.bmm(self.columns_3JR.mT, along.flatten(2)).view(3, r + 1, rows, self.width)
        result = sums.new_zeros(3, rows + 2 * r, self.width)
        result[:, r : r + rows] = sums[:, 0]
        for d in range(1, r + 1):
            result[:, r - d : r - d + rows] += sums[:, d]
            result[:, r + d : r + d + rows] += sums[:, d]
        return result

    def _along_rows(self, padded: Tensor, rows: int) -> Tensor:
        """Padded rows of 3J maps, filtered along the rows: [3, J, h, W]."""
        blocks = padded.reshape(self.bands.shape[0], -1, self.block)
        if self.one_block:
            filtered = torch.bmm(blocks, self.bands)
        else:
            filtered = torch.empty_like(blocks)
            torch.bmm(blocks[:, :-1], self.bands[:, : self.block], out=filtered[:, :-1])
            filtered[:, :-1].baddbmm_(blocks[:, 1:], self.bands[:, self.block :])
        return filtered.view(3, -1, rows, self.padded_width)[..., : self.width]


def _bands(taps_3JM: Tensor, inputs: int, outputs: int, offset: int) -> Tensor:
    """Matrices [3J, inputs, outputs] with taps[d] wherever input + offset - output = d."""
    taps = taps_3JM.flatten(0, 1)
    distance = torch.arange(inputs, device=taps.device)[:, None] + offset - torch.arange(outputs, device=taps.device)
    within = (distance >= 0) & (distance < taps.shape[1])
    return (taps[:, distance.clamp(0, taps.shape[1] - 1)] * within).contiguous()
