"""Images and one-dimensional kernels in, the images filtered by every kernel out, and the adjoint of that.

Both passes are products of matrices, which processors do better than convolutions of few channels:
down the columns, kernels times the symmetric sums x[-d] + x[d]; along the rows, which are cut into blocks, blocks times
banded matrices. Shape legend: B images, 3 channels, J kernels of each, h rows of W pixels, of P per block; r is a
kernel's reach.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WHOLE_ROW_PIXELS = 128
"""Rows up to this length are one block."""


def filtered(image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor) -> Tensor:
    """The image filtered by convolutions, [B, 3, K, H, W]: channel c by the taps `taps_JM[places_3K[c, k]]`.

    Each channel has an equal share of the J kernels, in order.
    """
    count, size = len(taps_JM) // 3, taps_JM.shape[1]
    # In order, since oneDNN takes minutes for a few maps in bfloat16 with their channels last.
    image = image_B3HW.contiguous()
    columns = functional.conv2d(image, taps_JM[:, None, :, None], padding=(size // 2, 0), groups=3)
    rows = functional.conv2d(columns, taps_JM[:, None, None, :], padding=(0, size // 2), groups=3 * count)
    if places_3K.numel() != len(taps_JM):
        rows = rows[:, places_3K.flatten()]
    return rows.view(len(rows), 3, -1, *rows.shape[2:])


class SeparableFilter:
    """Symmetric kernels for the rows of images of one width.

    `taps_3JM` holds for each channel J one-dimensional kernels; each filters as a column and as a row, and what lies
    beyond the border is zero.
    """

    def __init__(self, taps_3JM: Tensor, width: int) -> None:
        self.reach = taps_3JM.shape[2] // 2
        self.width = width
        self.maps = 3 * taps_3JM.shape[1]
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

    def pad(self, images_B3HW: Tensor) -> Tensor:
        """The images [3, B, H + 2r, W], with r rows of zeros above and below and rows padded to whole blocks."""
        right = self.padded_width - self.width - self.left
        return functional.pad(images_B3HW.transpose(0, 1), (self.left, right, self.reach, self.reach))

    def filter(self, padded_3BhW: Tensor) -> Tensor:
        """h rows of each image [3, J, B, h, W], from h + 2r padded ones."""
        r = self.reach
        _, images, rows, width = padded_3BhW.shape
        rows -= 2 * r
        columns = self._row_of_blocks(padded_3BhW, r + 1, images * rows)
        sums = columns[..., : images * rows * width].view(3, r + 1, images, rows, width)
        sums[:, 0] = padded_3BhW[:, :, r : r + rows]
        for d in range(1, r + 1):
            torch.add(padded_3BhW[:, :, r - d : r - d + rows], padded_3BhW[:, :, r + d :][:, :, :rows], out=sums[:, d])
        return self._along_rows(torch.bmm(self.columns_3JR, columns), images, rows)

    def adjoint(self, rows_3JBhW: Tensor) -> Tensor:
        """h + 2r padded rows of each image [3, B, h + 2r, W] of the adjoint of `filter`, their ends not padded."""
        r = self.reach
        _, kernels, images, rows, width = rows_3JBhW.shape
        padded = rows_3JBhW
        if not self.one_block:
            padded = self._row_of_blocks(rows_3JBhW, kernels, images * rows)
            inner = padded[..., : images * rows * self.padded_width].view(3, kernels, images, rows, self.padded_width)
            inner[..., : self.left] = 0
            inner[..., self.left : self.left + width] = rows_3JBhW
            inner[..., self.left + width :] = 0
        along = self._along_rows(padded, images, rows)
        sums = torch.bmm(self.columns_3JR.mT, along.flatten(2)).view(3, r + 1, images, rows, width)
        result = sums.new_zeros(3, images, rows + 2 * r, width)
        result[:, :, r : r + rows] = sums[:, 0]
        for d in range(1, r + 1):
            result[:, :, r - d : r - d + rows] += sums[:, d]
            result[:, :, r + d :][:, :, :rows] += sums[:, d]
        return result

    def _row_of_blocks(self, like: Tensor, maps: int, rows: int) -> Tensor:
        """Room for rows of blocks of several maps, [3, maps, rows W], and after them one block of zeros."""
        spare = 0 if self.one_block else self.block
        room = like.new_empty(3, maps, rows * self.padded_width + spare)
        room[..., rows * self.padded_width :] = 0
        return room

    def _along_rows(self, padded: Tensor, images: int, rows: int) -> Tensor:
        """Padded rows of 3J maps, filtered along the rows: [3, J, B, h, W]."""
        blocks = padded.reshape(self.bands.shape[0], -1, self.block)
        if self.one_block:
            filtered = torch.bmm(blocks, self.bands)
        else:
            filtered = torch.bmm(blocks[:, :-1], self.bands[:, : self.block])
            filtered.baddbmm_(blocks[:, 1:], self.bands[:, self.block :])
        return filtered.view(3, -1, images, rows, self.padded_width)[..., : self.width]


def _bands(taps_3JM: Tensor, inputs: int, outputs: int, offset: int) -> Tensor:
    """Matrices [3J, inputs, outputs] with taps[d] wherever input + offset - output = d."""
    taps = taps_3JM.flatten(0, 1)
    distance = torch.arange(inputs, device=taps.device)[:, None] + offset - torch.arange(outputs, device=taps.device)
    within = (distance >= 0) & (distance < taps.shape[1])
    return (taps[:, distance.clamp(0, taps.shape[1] - 1)] * within).contiguous()
