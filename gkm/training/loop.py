"""The training loop: a network, batches and a context in; reported epochs and a trained network out.

It knows a `TrainingContext` and a `BatchSource`, never Ray, MLflow or S3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.losses import cost_name, learning_rate_at, multi_scale_loss
from gkm.model.gkmnet import GKMNet
from gkm.training.checkpoint import load_checkpoint, save_checkpoint
from gkm.training.context import TrainingContext

Metrics = dict[str, float]
Validate = Callable[[GKMNet], Mapping[str, float]]
"""Scores the network on the validation photographs; called on every worker at the same epochs."""
OnReport = Callable[[list[Metrics], GKMNet], None]
"""Called on worker 0 with all validated epochs so far, the newest last, before that one is reported."""


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number; the message says where and what to change."""


class PairedBatch(Protocol):
    """Blurred and sharp crops, [B, 3, H, W] in [0, 1]."""

    @property
    def blurred_B3HW(self) -> Tensor: ...
    @property
    def sharp_B3HW(self) -> Tensor: ...


class BatchSource(Protocol):
    """Batches that depend on the epoch's number alone, so that a resumed epoch repeats itself."""

    def epoch(self, epoch: int) -> Iterator[PairedBatch]: ...


def fit(
    model: GKMNet,
    batches: BatchSource,
    validate: Validate,
    config: TrialConfig,
    context: TrainingContext,
    on_report: OnReport | None = None,
) -> list[Metrics]:
    """Train `model` in place for `config.training.epochs` epochs and return the metrics of every validated epoch.

    Resumes from the context's latest checkpoint. Each entry holds "epoch" (1-based), "train/loss", "learning_rate",
    "seconds" (of training and validation since epoch 1, over all resumptions) and what `validate` returns.

    Raises TrainingDivergedError when the loss becomes NaN or infinite.
    """
    wrapped = context.wrap(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.optim.learning_rate, fused=True)
    history = _resume(model, optimizer, config, context)
    epochs = config.training.epochs
    seconds_before = history[-1]["seconds"] if history else 0.0
    started = time.monotonic()
    losses: list[float] = []
    for epoch in range(int(history[-1]["epoch"]) if history else 0, epochs):
        learning_rate = learning_rate_at(config.optim, epoch, epochs)
        losses.append(_train_epoch(wrapped, batches, optimizer, config, context, epoch, learning_rate))
        if (epoch + 1) % config.training.validate_every and epoch + 1 < epochs:
            continue
        model.eval()
        metrics: Metrics = {
            "epoch": float(epoch + 1),
            "train/loss": sum(losses) / len(losses),
            "learning_rate": learning_rate,
            **validate(model),
            "seconds": seconds_before + time.monotonic() - started,
        }
        losses.clear()
        history.append(metrics)
        if on_report and context.rank == 0:
            on_report(history, model)
        state: dict[str, Any] = {"history": history, "fingerprint": config.fingerprint()}
        context.report(metrics, partial(save_checkpoint, model, optimizer, state))
    model.eval()
    return history


def _resume(
    model: GKMNet, optimizer: torch.optim.Optimizer, config: TrialConfig, context: TrainingContext
) -> list[Metrics]:
    """Load the latest checkpoint, if any, into `model` and `optimizer`; returns the history it carries."""
    with context.latest_checkpoint() as directory:
        if directory is None:
            return []
        checkpoint = load_checkpoint(directory)
    if checkpoint.state["fingerprint"] != config.fingerprint():
        raise InputError(f"{directory}: the checkpoint belongs to other settings; start anew or restore the settings")
    model.load_state_dict(checkpoint.weights)
    optimizer.load_state_dict(checkpoint.optimizer)
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            # The fused optimiser reads memory as it lies, so moments must lie as their weights do (channels last).
            if value.shape == parameter.shape:
                entries[key] = torch.empty_like(parameter).copy_(value)
    history: list[Metrics] = checkpoint.state["history"]
    return history


def _train_epoch(
    model: nn.Module,
    batches: BatchSource,
    optimizer: torch.optim.Optimizer,
    config: TrialConfig,
    context: TrainingContext,
    epoch: int,
    learning_rate: float,
) -> float:
    """One pass over the batches; the mean loss over steps and workers."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    cost = cost_name(config.loss.schedule, epoch, config.training.epochs)
    bfloat16 = config.training.precision == "bfloat16"
    model.train()
    total, steps = 0.0, 0
    for batch in batches.epoch(epoch):
        blurred_B3HW = batch.blurred_B3HW.to(context.device, non_blocking=True)
        sharp_B3HW = batch.sharp_B3HW.to(context.device, non_blocking=True)
        with torch.autocast(context.device.type, torch.bfloat16) if bfloat16 else nullcontext():
            outputs = model(blurred_B3HW)
        loss = multi_scale_loss([output.float() for output in outputs], sharp_B3HW, cost)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        if config.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"the {cost} loss became {value} at epoch {epoch + 1}, step {steps + 1}; "
                f"lower optim.learning_rate ({config.optim.learning_rate:g}) or set optim.clip_norm"
            )
        optimizer.step()
        total, steps = total + value, steps + 1
    total, count = context.sum([total, float(steps)])
    return total / count
