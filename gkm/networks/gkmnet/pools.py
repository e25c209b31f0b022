"""Strips of features in, from top to bottom; the weights that triplet attention gives to any rows of them out.

Shape legend: 1 image, C channels, H x W pixels, J windows (one: the whole), h rows of a strip.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gkm.networks.ops.attention import TripletAttention
from gkm.networks.ops.windows import Windows

HALO_ROWS = 4
"""More than a block's three convolutions, or a gate, or (at half the size) the Conv-LSTM reaches; a multiple of the
encoder's stride, so that strips fall on whole rows of every level."""


def with_halo(rows: slice, height: int, halo: int = HALO_ROWS) -> slice:
    """`rows`, and up to `halo` more on both sides, as far as there are any."""
    return slice(max(rows.start - halo, 0), min(rows.stop + halo, height))


def within(rows: slice, wide: slice) -> slice:
    """Where `rows` are in what was made of `wide`."""
    return slice(rows.start - wide.start, rows.stop - wide.start)


class Pools:
    """What triplet attention pools of features [1, C, H, W], over windows or the whole, gathered strip by strip."""

    def __init__(self, height: int, width: int, window: int | None) -> None:
        size = max(height, width) if window is None else window
        self._down, self._along = Windows(height, size), Windows(width, size)
        self._spatial: list[tuple[Tensor, Tensor]] = []
        self._row: list[tuple[Tensor, Tensor]] = []
        self._column: dict[int, tuple[Tensor, Tensor]] = {}
        """First row of a window -> its maxima and sums [W, C] so far."""
        self._top = 0

    def add(self, strip_1ChW: Tensor) -> None:
        """The next rows."""
        x_hWC = strip_1ChW[0].permute(1, 2, 0)
        self._spatial.append((x_hWC.amax(2), x_hWC.mean(2)))
        self._row.append(self._along.pooled(lambda columns: x_hWC[:, columns], 1))
        for start in self._down.starts:
            first, end = (max(edge - self._top, 0) for edge in (start, start + self._down.size))
            if len(part := x_hWC[first:end]):
                self._gather(start, part)
        self._top += len(x_hWC)

    def _gather(self, start: int, part_hWC: Tensor) -> None:
        dtype = torch.promote_types(part_hWC.dtype, torch.float32)
        maxima_WC, sums_WC = part_hWC.amax(0), part_hWC.sum(0, dtype=dtype)
        if start in self._column:
            most_WC, total_WC = self._column[start]
            torch.maximum(most_WC, maxima_WC, out=most_WC)
            total_WC += sums_WC
        else:
            self._column[start] = maxima_WC, sums_WC

    def gates(self, attention: TripletAttention) -> Callable[[slice], Tensor]:
        """TripletAttention.forward without its product: the weights [1, C, h, W] of any rows."""
        height = self._down.length
        maxima_1JWC, sums_1JWC = (torch.stack(planes)[None] for planes in zip(*self._column.values(), strict=True))
        means_1JWC = (sums_1JWC / min(self._down.size, height)).to(maxima_1JWC.dtype)
        maxima_1HJC, means_1HJC = (torch.cat(planes)[None] for planes in zip(*self._row, strict=True))
        of_windows = attention.weights_within(
            self._down, (maxima_1JWC, means_1JWC), self._along, (maxima_1HJC, means_1HJC)
        )
        maxima_1HW, means_1HW = (torch.cat(planes)[None] for planes in zip(*self._spatial, strict=True))

        def weights(rows: slice) -> Tensor:
            wide = with_halo(rows, height)
            a_hW: Tensor = attention.spatial(maxima_1HW[:, wide], means_1HW[:, wide])[0, within(rows, wide)]
            a_hWC = of_windows(rows)[0] + a_hW[:, :, None] / 3
            return a_hWC.permute(2, 0, 1)[None]

        return weights
