"""A network in; the same network out whose dropout draws for the whole batch and uses the share of the crops at hand.

So what is left out of a crop does not depend on how many workers, or how many pieces, the batch is divided among.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Share:
    """Which crops of the global batch are passing through the network; all of them unless something else is said."""

    def __init__(self) -> None:
        self.first = self.crops = self.total = 0

    @contextmanager
    def of(self, first: int, crops: int, total: int) -> Iterator[None]:
        """Within the block, `crops` of the `total` crops of the batch pass, beginning with number `first`."""
        self.first, self.crops, self.total = first, crops, total
        try:
            yield
        finally:
            self.first = self.crops = self.total = 0


class SharedDropout(nn.Module):
    """A dropout that draws, from the same state of the random numbers, the same for a crop in any share."""

    def __init__(self, dropout: nn.Module, share: Share) -> None:
        super().__init__()
        self.dropout = dropout
        self._share = share

    def forward(self, x_BCHW: Tensor) -> Tensor:
        share = self._share
        if not self.training or share.crops == share.total:
            whole: Tensor = self.dropout(x_BCHW)
            return whole
        images = len(x_BCHW) // share.crops  # of a crop, where a network lays several in a row
        # Laid out as the whole batch would be: that decides which number is drawn for which pixel.
        one = torch.empty_like(x_BCHW[:1])
        strides = one[0].numel(), *one.stride()[1:]
        ones = one.new_empty_strided((images * share.total, *one.shape[1:]), strides).fill_(1)
        factors: Tensor = self.dropout(ones)[images * share.first :][: len(x_BCHW)]
        return x_BCHW * factors


def with_shared_dropout(model: nn.Module, share: Share) -> bool:
    """Replace the dropouts in `model`; returns whether it has any."""
    found = False
    for name, part in model.named_children():
        if isinstance(part, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            setattr(model, name, SharedDropout(part, share))
            found = True
        elif isinstance(part, SharedDropout):
            part._share = share
            found = True
        else:
            found |= with_shared_dropout(part, share)
    return found
