"""Parts of a network in; within a block they keep their inputs alone, and what else gradients need is computed again.

For batches that pass whole, since batch norm asks for the statistics of all their crops, but do not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from gkm.networks import Network


def recomputed_parts(network: Network) -> list[nn.Module]:
    """The parts of `network` that it names as worth the time."""
    return [part for part in network.modules() if isinstance(part, network.recomputed)]


@contextmanager
def recomputing(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Forward passes within the block hold no more of `parts` than their inputs; results and gradients stay."""
    for part in parts:
        norms = [norm for norm in part.modules() if isinstance(norm, _BatchNorm)]
        part.forward = partial(checkpoint, part.forward, use_reentrant=False, context_fn=partial(_contexts, norms))
    try:
        yield
    finally:
        for part in parts:
            del part.__dict__["forward"]


def _contexts(norms: Sequence[_BatchNorm]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first computation, and around the second: the batch is seen twice, but counts once."""
    return nullcontext(), _not_tracking(norms)


@contextmanager
def _not_tracking(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    tracking = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, before in zip(norms, tracking, strict=True):
            norm.track_running_stats = before
