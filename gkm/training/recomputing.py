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
    return nullcontext(), _forgetting(norms)


@contextmanager
def _forgetting(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Within the block, running statistics are copies; nothing of what happens to them stays."""
    before = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update(
            {name: None if buffer is None else buffer.clone() for name, buffer in norm._buffers.items()}
        )
    try:
        yield
    finally:
        for norm, buffers in zip(norms, before, strict=True):
            norm._buffers.update(buffers)
