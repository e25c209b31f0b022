"""A training's state in; its checkpoints, best weights and pictures in the store out, written by rank 0.

The order of what is written matters: see `gkm.training.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from gkm.errors import InputError
from gkm.networks import Network
from gkm.training.average import WeightAverage
from gkm.training.best import PhotographScore, save_best
from gkm.training.context import TrainingContext, from_first
from gkm.training.course.state import TrainingState

Draw = Callable[[int, Network], bytes | None]
"""A picture (PNG) of restored photographs, if the validation of that number, counted from 1, is to have one."""


@dataclass(frozen=True)
class Validation:
    """What the network scores after an epoch, the same on every worker."""

    metrics: Mapping[str, float]
    photographs: tuple[PhotographScore, ...] = ()
    """In the order of the data set."""


def keep_epoch(
    context: TrainingContext, state: TrainingState, validation: Validation, draw: Draw | None, seconds: float
) -> None:
    """Keep the newest epoch of `state`, whose network was just validated.

    Raises OSError or InputError, on every worker, where that cannot be written.
    """
    from_first(context, partial(_keep_epoch, context, state, validation, draw, seconds), InputError, OSError)


def finish_keeping(context: TrainingContext) -> None:
    """Return once the store has all that was kept; errors as for `keep_epoch`."""
    from_first(context, context.store.wait, InputError, OSError)


def is_kept(context: TrainingContext) -> bool:
    """Whether the store has all that was kept; the same on every worker."""
    return from_first(context, lambda: context.store.idle)


def keep_position(context: TrainingContext, state: TrainingState, seconds: float) -> None:
    """Keep where `state` stands within an epoch; errors as for `keep_epoch`."""
    from_first(context, partial(_keep_position, context, state, seconds), InputError, OSError)


def judged(average: WeightAverage | None) -> AbstractContextManager[None]:
    """Within the block, the network has the weights that are validated and kept."""
    return nullcontext() if average is None else average.applied()


def _keep_epoch(
    context: TrainingContext, state: TrainingState, validation: Validation, draw: Draw | None, seconds: float
) -> None:
    store, newest = context.store, state.history[-1]
    epoch = int(newest["epoch"])
    with judged(state.average):
        if draw and (picture := draw(len(state.history), state.model)) is not None:
            store.save_picture(epoch, picture)
        if newest["best/epoch"] == epoch:
            store.save_best(epoch, partial(save_best, state.model, validation.photographs))
    _keep_position(context, state, seconds)


def _keep_position(context: TrainingContext, state: TrainingState, seconds: float) -> None:
    at, last = (state.position.epoch, state.position.batch), state.history[-2:]
    context.store.save_checkpoint(at, partial(state.write, seconds=seconds))
    context.store.prune(
        {at} | {(int(metrics["epoch"]), 0) for metrics in last},
        {int(metrics["best/epoch"]) for metrics in last if "best/epoch" in metrics},
    )
