"""The training loop: a network, batches and a context in; reported epochs and a trained network out.

It knows a `TrainingContext` and a `BatchSource`, never Ray, MLflow or S3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.losses import cost_name, learning_rate_at
from gkm.networks import Network
from gkm.training.average import WeightAverage
from gkm.training.best import PhotographScore, save_best
from gkm.training.checkpoint import Checkpoint, save_checkpoint
from gkm.training.context import TrainingContext, from_first
from gkm.training.epoch import BatchSource, Trainer
from gkm.training.resuming import Identity, read_checkpoint
from gkm.training.selection import Selection
from gkm.training.usage import Usage

Metrics = dict[str, float]


@dataclass(frozen=True)
class Validation:
    """What the network scores after an epoch, the same on every worker."""

    metrics: Mapping[str, float]
    photographs: tuple[PhotographScore, ...] = ()
    """In the order of the data set."""


Validate = Callable[[Network], Validation]
"""Scores the network on the validation photographs; called on every worker at the same epochs.

Raises FloatingPointError, on every worker, where a restored photograph has values that are not finite."""
Draw = Callable[[int, Network], bytes | None]
"""A picture (PNG) of restored photographs, if the validation of that number, counted from 1, is to have one."""


class TrainingDivergedError(RuntimeError):
    """Training has left the realm of numbers; the message says where and what to change."""


def fit(
    model: Network,
    batches: BatchSource,
    validate: Validate,
    config: TrialConfig,
    context: TrainingContext,
    *,
    selection: Selection | None = None,
    data: str | None = None,
    draw: Draw | None = None,
) -> list[Metrics]:
    """Train `model` in place for `config.training.epochs` epochs and return the metrics of every validated epoch.

    With `training.ema` it is the average of the weights that is validated and kept, and that `model` has in the end.

    Resumes from the newest whole checkpoint in the context's store; `data` is the fingerprint of the data set, for
    checkpoints to be recognised by. Each entry holds "epoch" (1-based), "train/loss", "learning_rate", what `validate`
    measures, "seconds" (of training and validation since epoch 1, over all resumptions), "time" (Unix seconds at which
    the epoch was first finished), what `Usage` measures, "best/epoch" and "best/METRIC": of the weights that are kept.

    Raises TrainingDivergedError when losses, weights or restored photographs are no longer finite, InputError where
    the checkpoint belongs to something else, OSError where the store cannot be written; on every worker alike.
    """
    selection = selection or Selection()
    identity = Identity(config, selection, data)
    model.to(context.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.optim.learning_rate, fused=True)
    trainer = Trainer(model, optimizer, config, context)
    average = WeightAverage(model, config.training.ema) if config.training.ema else None
    checkpoint, note = from_first(context, partial(read_checkpoint, context.store, identity), InputError)
    history = _restore(model, optimizer, average, checkpoint) if checkpoint else []
    context.resumed(history, note)

    usage = Usage(context.device)
    epochs = config.training.epochs
    seconds_before = history[-1]["seconds"] if history else 0.0
    started = time.monotonic()
    losses: list[float] = []
    for epoch in range(int(history[-1]["epoch"]) if history else 0, epochs):
        learning_rate = learning_rate_at(config.optim, epoch, epochs)
        own_losses = trainer.train(batches, epoch, learning_rate, average)
        losses.append(_mean_loss(context, model, own_losses, config, epoch))
        if (epoch + 1) % config.training.validate_every and epoch + 1 < epochs:
            continue
        validation = _validated(model, validate, average, config, epoch)
        metrics: Metrics = {
            "epoch": float(epoch + 1),
            "train/loss": sum(losses) / len(losses),
            "learning_rate": learning_rate,
            **validation.metrics,
            "seconds": seconds_before + time.monotonic() - started,
            "time": time.time(),
            **usage.measure(),
        }
        losses.clear()
        metrics |= _best(selection, metrics, history)
        history.append(metrics)
        keep = partial(_keep, context, model, optimizer, average, identity, history, validation, draw)
        from_first(context, keep, InputError, OSError)
        context.report(metrics)
    if average is not None:
        average.write()
    model.eval()
    return history


def _validated(
    model: Network, validate: Validate, average: WeightAverage | None, config: TrialConfig, epoch: int
) -> Validation:
    model.eval()
    try:
        with _judged(average):
            return validate(model)
    except FloatingPointError as error:
        raise _diverged(f"{error} after epoch {epoch + 1}", config) from None


def _judged(average: WeightAverage | None) -> AbstractContextManager[None]:
    """Within the block, the network has the weights that are validated and kept."""
    return nullcontext() if average is None else average.applied()


def _restore(
    model: Network, optimizer: torch.optim.Optimizer, average: WeightAverage | None, checkpoint: Checkpoint
) -> list[Metrics]:
    """Load `checkpoint` into `model`, `optimizer` and `average`; returns the history it carries."""
    model.load_state_dict(checkpoint.weights)
    if average is not None and checkpoint.average is not None:
        average.restore(checkpoint.average, checkpoint.state["average_updates"])
    optimizer.load_state_dict(checkpoint.optimizer)
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            # The fused optimiser reads memory as it lies, so moments must lie as their weights do (channels last).
            if value.shape == parameter.shape:
                entries[key] = torch.empty_like(parameter).copy_(value)
    history: list[Metrics] = checkpoint.state["history"]
    return history


def _best(selection: Selection, metrics: Metrics, history: list[Metrics]) -> Metrics:
    """The best epoch so far and its value, `metrics` being the newest."""
    value, before = selection.value(metrics), history[-1] if history else {}
    # Version 0.1.0 kept its best weights elsewhere: after one of its checkpoints the search for them begins anew.
    if "best/epoch" in before and not selection.is_better(value, before[selection.best_key]):
        return {"best/epoch": before["best/epoch"], selection.best_key: before[selection.best_key]}
    return {"best/epoch": metrics["epoch"], selection.best_key: value}


def _keep(
    context: TrainingContext,
    model: Network,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    identity: Identity,
    history: list[Metrics],
    validation: Validation,
    draw: Draw | None,
) -> None:
    """Put the newest epoch into the store. The order matters: see `gkm.training.store`."""
    store, newest = context.store, history[-1]
    epoch = int(newest["epoch"])
    with _judged(average):
        if draw and (picture := draw(len(history), model)) is not None:
            store.save_picture(epoch, picture)
        if newest["best/epoch"] == epoch:
            store.save_best(epoch, partial(save_best, model, validation.photographs))
    state = {"history": history, **identity.state()}
    averaged = None
    if average is not None:
        averaged, state["average_updates"] = average.tensors(), average.updates
    store.save_checkpoint(epoch, partial(save_checkpoint, model, optimizer, state, average=averaged))
    store.prune(
        {int(metrics["epoch"]) for metrics in history[-2:]},
        {int(metrics["best/epoch"]) for metrics in history[-2:] if "best/epoch" in metrics},
    )


def _mean_loss(context: TrainingContext, model: Network, losses: list[float], config: TrialConfig, epoch: int) -> float:
    """The mean over the steps of an epoch and over workers.

    A worker that meets a loss that is no number goes on to the end of the epoch, where the others learn of it: they
    would wait for its gradients for ever. Raises TrainingDivergedError, on all, with the step at which it began.
    """
    steps = len(losses)
    failures: list[tuple[int, str]] = []
    if (bad := next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)) is not None:
        cost = cost_name(config.loss.schedule, epoch, config.training.epochs)
        failures.append((bad, f"the {cost} loss became {losses[bad]} at epoch {epoch + 1}, step {bad + 1}"))
    elif not _is_finite(model):
        failures.append((steps, f"the weights are no longer finite after epoch {epoch + 1}"))
    if everywhere := context.gather(failures):
        raise _diverged(min(everywhere)[1], config)
    own = 0.0
    for loss in losses:  # in order: `sum` rounds otherwise from Python 3.12 on
        own += loss
    total, count = context.sum([own, float(steps)])
    return total / count


def _is_finite(model: nn.Module) -> bool:
    """Weights and statistics."""
    tensors = (tensor for tensor in model.state_dict().values() if tensor.is_floating_point())
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def _diverged(what: str, config: TrialConfig) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"{what}; lower optim.learning_rate ({config.optim.learning_rate:g}) or set optim.clip_norm"
    )
