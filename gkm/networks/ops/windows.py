"""Features in; their maxima and means over windows of rows or columns, and what is made of these for each row, out.

Networks that pool over whole photographs learn from crops, where a maximum or a mean is one of fewer pixels. Pooled
over windows of the size of these crops, a photograph shows them what they know (Chu et al., *Improving Image
Restoration by Revisiting Global Information Aggregation*, ECCV 2022). Windows lie within the photograph, as crops do,
a quarter of their size or less apart; a row mixes what was made of the two windows whose centres it lies between.
Shape legend: J windows, n rows of R.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

WINDOWS_A_SIZE = 4
"""Windows begin a size divided by this apart."""


@dataclass(frozen=True)
class Windows:
    """Windows of `size` rows among `length` rows; of columns, the same."""

    length: int
    size: int

    @property
    def starts(self) -> list[int]:
        """The first row of each window; one window where it has room for all rows."""
        last = self.length - self.size
        return [0] if last <= 0 else [*range(0, last, max(1, self.size // WINDOWS_A_SIZE)), last]

    def pooled(self, rows: Callable[[slice], Tensor], axis: int) -> tuple[Tensor, Tensor]:
        """Maxima and means over each window: `axis`, that of the rows, becomes that of J windows.

        `rows` gives the features of some rows; it is asked for each row once, from the first to the last.
        """
        size = min(self.size, self.length)
        edges = sorted({edge for start in self.starts for edge in (start, start + size)})
        parts = [rows(slice(*ends)) for ends in pairwise(edges)]
        maxima = torch.stack([part.amax(axis) for part in parts], axis)
        sums = torch.stack(
            [part.sum(axis, dtype=torch.promote_types(part.dtype, torch.float32)) for part in parts], axis
        )
        spans = [(edges.index(start), edges.index(start + size)) for start in self.starts]
        most = [maxima.narrow(axis, first, end - first).amax(axis) for first, end in spans]
        means = [sums.narrow(axis, first, end - first).sum(axis) / size for first, end in spans]
        return torch.stack(most, axis), torch.stack(means, axis).to(maxima.dtype)

    def mixed(self, values: Tensor, axis: int, rows: slice) -> Tensor:
        """What each of `rows` gets of the J `values` along `axis`; of a single window, that value alone."""
        starts = self.starts
        if len(starts) == 1:
            return values
        centres = [start + (self.size - 1) / 2 for start in starts]
        lower, share = [], []
        for row in range(rows.start, rows.stop):
            before = min(max(bisect_right(centres, row) - 1, 0), len(centres) - 2)
            lower.append(before)
            way = (row - centres[before]) / (centres[before + 1] - centres[before])
            share.append(min(max(way, 0.0), 1.0))
        index = torch.tensor(lower, device=values.device)
        shares = torch.tensor(share, device=values.device, dtype=values.dtype)
        shape = [1] * values.dim()
        shape[axis] = len(share)
        return torch.lerp(values.index_select(axis, index), values.index_select(axis, index + 1), shares.view(shape))
