"""Losses and weights in; nothing out while they are finite, else where it began and what to change."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gkm.config import TrialConfig
from gkm.losses import cost_name
from gkm.training.context import TrainingContext
from gkm.training.course.position import StepLosses

Describe = Callable[[int, int], str]
"""What a batch of this worker shows: (epoch from 0, batch from 0) -> photographs and places of its crops."""


class TrainingDivergedError(RuntimeError):
    """Training has left the realm of numbers; the message says where and what to change."""


def refuse_divergence(
    context: TrainingContext,
    model: nn.Module,
    losses: StepLosses,
    config: TrialConfig,
    epoch: int,
    describe: Describe | None = None,
) -> None:
    """Raises TrainingDivergedError, on all workers, where a loss or a weight is no number on any.

    A worker that meets one goes on until this is called: the others would wait for its gradients for ever.
    """
    losses.settle()
    failures: list[tuple[int, str]] = []
    if losses.bad is not None:
        step, loss = losses.bad
        cost = cost_name(config.loss.schedule, epoch, config.training.epochs)
        shown = f", with {describe(epoch, step)}" if describe else ""
        failures.append((step, f"the {cost} loss became {loss} at epoch {epoch + 1}, step {step + 1}{shown}"))
    elif not _is_finite(model):
        when = f"after epoch {epoch + 1}"
        failures.append((losses.batches, f"the weights are no longer finite {when}, step {losses.batches}"))
    if everywhere := context.gather(failures):
        raise diverged(min(everywhere)[1], config)


def diverged(what: str, config: TrialConfig) -> TrainingDivergedError:
    """The error for `what` happened, with what may help."""
    return TrainingDivergedError(
        f"{what}; lower optim.learning_rate ({config.optim.learning_rate:g}) or set optim.clip_norm"
    )


def _is_finite(model: nn.Module) -> bool:
    """Weights and statistics."""
    tensors = (tensor for tensor in model.state_dict().values() if tensor.is_floating_point())
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())
