"""The training loop: a network, batches and a context in; reported epochs and a trained network out.

It knows a `TrainingContext` and a `BatchSource`, never Ray, MLflow or S3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.losses import cost_name, learning_rate_at, multi_scale_loss
from gkm.networks import Network
from gkm.networks.network import Progress
from gkm.training.best import PhotographScore, save_best
from gkm.training.checkpoint import Checkpoint, save_checkpoint
from gkm.training.context import TrainingContext, from_first
from gkm.training.resuming import Identity, read_checkpoint
from gkm.training.selection import Selection
from gkm.training.usage import Usage

Metrics = dict[str, float]


@dataclass(frozen=True)
class Validation:
    """What the network scores after an epoch, the same on every worker but for what was timed."""

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


class PairedBatch(Protocol):
    """Crops in [0, 1] of what the network sees, [B, C, H, W], and of the sharp photographs, [B, 3, H, W]."""

    @property
    def input_BCHW(self) -> Tensor: ...
    @property
    def sharp_B3HW(self) -> Tensor: ...


class BatchSource(Protocol):
    """Batches that depend on the epoch's number alone, so that a resumed epoch repeats itself."""

    def epoch(self, epoch: int) -> Iterator[PairedBatch]: ...


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

    Resumes from the newest whole checkpoint in the context's store; `data` is the fingerprint of the data set, for
    checkpoints to be recognised by. Each entry holds "epoch" (1-based), "train/loss", "learning_rate", what `validate`
    measures, "seconds" (of training and validation since epoch 1, over all resumptions), "time" (Unix seconds at which
    the epoch was first finished), what `Usage` measures, "best/epoch" and "best/METRIC": of the weights that are kept.

    Raises TrainingDivergedError when losses, weights or restored photographs are no longer finite, InputError where
    the checkpoint belongs to something else, OSError where the store cannot be written; on every worker alike.
    """
    selection = selection or Selection()
    identity = Identity(config, selection, data)
    wrapped = context.wrap(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.optim.learning_rate, fused=True)
    checkpoint, note = from_first(context, partial(read_checkpoint, context.store, identity), InputError)
    history = _restore(model, optimizer, checkpoint) if checkpoint else []
    context.resumed(history, note)

    usage = Usage(context.device)
    epochs = config.training.epochs
    seconds_before = history[-1]["seconds"] if history else 0.0
    started = time.monotonic()
    losses: list[float] = []
    for epoch in range(int(history[-1]["epoch"]) if history else 0, epochs):
        learning_rate = learning_rate_at(config.optim, epoch, epochs)
        losses.append(_train_epoch(wrapped, model, batches, optimizer, config, context, epoch, learning_rate))
        if (epoch + 1) % config.training.validate_every and epoch + 1 < epochs:
            continue
        model.eval()
        try:
            validation = validate(model)
        except FloatingPointError as error:
            raise _diverged(f"{error} after epoch {epoch + 1}", config) from None
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
        keep = partial(_keep, context, model, optimizer, identity, history, validation, draw)
        from_first(context, keep, InputError, OSError)
        context.report(metrics)
    model.eval()
    return history


def _restore(model: Network, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> list[Metrics]:
    """Load `checkpoint` into `model` and `optimizer`; returns the history it carries."""
    model.load_state_dict(checkpoint.weights)
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
    identity: Identity,
    history: list[Metrics],
    validation: Validation,
    draw: Draw | None,
) -> None:
    """Put the newest epoch into the store. The order matters: see `gkm.training.store`."""
    store, newest = context.store, history[-1]
    epoch = int(newest["epoch"])
    if draw and (picture := draw(len(history), model)) is not None:
        store.save_picture(epoch, picture)
    if newest["best/epoch"] == epoch:
        store.save_best(epoch, partial(save_best, model, validation.photographs))
    store.save_checkpoint(epoch, partial(save_checkpoint, model, optimizer, {"history": history, **identity.state()}))
    store.prune(
        {int(metrics["epoch"]) for metrics in history[-2:]},
        {int(metrics["best/epoch"]) for metrics in history[-2:] if "best/epoch" in metrics},
    )


def _train_epoch(
    wrapped: nn.Module,
    model: Network,
    batches: BatchSource,
    optimizer: torch.optim.Optimizer,
    config: TrialConfig,
    context: TrainingContext,
    epoch: int,
    learning_rate: float,
) -> float:
    """One pass over the batches; the mean loss over steps and workers. `wrapped` is `model` as the context wraps it.

    A worker that meets a loss that is no number goes on to the end of the epoch, where the others learn of it: they
    would wait for its gradients for ever.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    cost = cost_name(config.loss.schedule, epoch, config.training.epochs)
    progress = Progress(epoch, config.training.epochs)
    bfloat16 = config.training.precision == "bfloat16"
    # What a network draws while it trains (dropout) depends on the epoch alone: one that is resumed repeats itself.
    torch.manual_seed((config.training.seed * 1_000_003 + epoch) * context.world_size + context.rank)
    model.train()
    total, steps = 0.0, 0
    failures: list[str] = []
    for batch in batches.epoch(epoch):
        input_BCHW = batch.input_BCHW.to(context.device, non_blocking=True)
        sharp_B3HW = batch.sharp_B3HW.to(context.device, non_blocking=True)
        with torch.autocast(context.device.type, torch.bfloat16) if bfloat16 else nullcontext():
            outputs = wrapped(input_BCHW)
        outputs = [output.float() for output in outputs]
        own = model.cost(outputs, input_BCHW, sharp_B3HW, config.loss, progress)
        loss = multi_scale_loss(outputs, sharp_B3HW, cost) if own is None else own
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        if config.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        value = loss.item()
        if not math.isfinite(value):
            failures.append(f"the {cost} loss became {value} at epoch {epoch + 1}, step {steps + 1}")
            if context.world_size == 1:
                break
        optimizer.step()
        total, steps = total + value, steps + 1
    if not failures and not _is_finite(model):
        failures.append(f"the weights are no longer finite after epoch {epoch + 1}")
    if everywhere := context.gather(failures[:1]):
        raise _diverged(everywhere[0], config)
    total, count = context.sum([total, float(steps)])
    return total / count


def _is_finite(model: nn.Module) -> bool:
    """Weights and statistics."""
    tensors = (tensor for tensor in model.state_dict().values() if tensor.is_floating_point())
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def _diverged(what: str, config: TrialConfig) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"{what}; lower optim.learning_rate ({config.optim.learning_rate:g}) or set optim.clip_norm"
    )
