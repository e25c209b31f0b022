"""Batches of one epoch in; optimiser steps taken, the loss of each step out.

A step is the same on one worker or several, in one piece or in several (`training.accumulate`): see docs/training.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.losses import cost_name, multi_scale_loss
from gkm.networks import Network
from gkm.networks.network import Progress
from gkm.training.average import WeightAverage
from gkm.training.batch_norm import has_batch_norm
from gkm.training.context import TrainingContext
from gkm.training.dropout import Share, with_shared_dropout
from gkm.training.recomputing import recomputed_parts, recomputing


class PairedBatch(Protocol):
    """Crops in [0, 1] of what the network sees, [B, C, H, W], and of the sharp photographs, [B, 3, H, W]."""

    @property
    def input_BCHW(self) -> Tensor: ...
    @property
    def sharp_B3HW(self) -> Tensor: ...


class BatchSource(Protocol):
    """Batches that depend on the epoch's number alone, so that a resumed epoch repeats itself."""

    def epoch(self, epoch: int) -> Iterator[PairedBatch]: ...


class Trainer:
    """A network with its optimiser, and what a step is made of.

    Where no crop's result depends on another's, the share of this worker passes in `training.accumulate` pieces, one
    after the other. Batch norm needs all crops at once: then the share passes whole, and the parts that the network
    names as `recomputed` are computed again for the gradients instead of being kept.
    """

    def __init__(
        self,
        model: Network,
        optimizer: torch.optim.Optimizer,
        config: TrialConfig,
        context: TrainingContext,
    ) -> None:
        self._model, self._optimizer, self._config, self._context = model, optimizer, config, context
        self._share = Share()
        pieces = config.training.accumulate
        self._draws = with_shared_dropout(model, self._share) if pieces * context.world_size > 1 else False
        whole = pieces == 1 or has_batch_norm(model)
        self._pieces = 1 if whole else pieces
        self._recomputed = recomputed_parts(model) if whole and pieces > 1 else []
        self._wrapped = context.wrap(model)

    def train(
        self, batches: BatchSource, epoch: int, learning_rate: float, average: WeightAverage | None = None
    ) -> list[float]:
        """One pass over the batches; the loss of each step, on this worker's crops. `average` follows every step.

        The device is asked once, at the end, so that it is never waited for in between; losses may be no numbers.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        training = self._config.training
        cost = cost_name(self._config.loss.schedule, epoch, training.epochs)
        # What a network draws while it trains (dropout) depends on the epoch alone: one that is resumed repeats itself.
        torch.manual_seed(training.seed * 1_000_003 + epoch)
        self._model.train()
        losses = []
        for batch in batches.epoch(epoch):
            losses.append(self._step(batch, cost, Progress(epoch, training.epochs)))
            if average is not None:
                average.update()
        return [float(loss) for loss in torch.stack(losses).tolist()] if losses else []

    def _step(self, batch: PairedBatch, cost: str, progress: Progress) -> Tensor:
        """One optimiser step; the loss of this worker's share, on its device."""
        device = self._context.device
        input_BCHW = batch.input_BCHW.to(device, non_blocking=True)
        sharp_B3HW = batch.sharp_B3HW.to(device, non_blocking=True)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._gradients(input_BCHW, sharp_B3HW, cost, progress)
        if (largest := self._config.optim.clip_norm) is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), largest)
        self._optimizer.step()
        return loss

    def _gradients(self, input_BCHW: Tensor, sharp_B3HW: Tensor, cost: str, progress: Progress) -> Tensor:
        """Add up the gradients of all pieces; the mean loss of their crops."""
        crops = len(input_BCHW)
        ahead, total = self._context.rank * crops, self._context.world_size * crops
        size = -(-crops // self._pieces)
        starts = range(0, crops, size)
        random = _random_state(self._context.device) if self._draws and len(starts) > 1 else None
        losses = []
        for start in starts:
            if random is not None:
                _set_random_state(self._context.device, random)
            blurred, sharp = input_BCHW[start : start + size], sharp_B3HW[start : start + size]
            with self._share.of(ahead + start, len(blurred), total), self._exchange(last=start == starts[-1]):
                loss = self._loss(blurred, sharp, cost, progress)
                if len(starts) > 1:
                    loss = loss * (len(blurred) / crops)
                loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _loss(self, input_BCHW: Tensor, sharp_B3HW: Tensor, cost: str, progress: Progress) -> Tensor:
        bfloat16 = self._config.training.precision == "bfloat16"
        arithmetic = torch.autocast(self._context.device.type, torch.bfloat16) if bfloat16 else nullcontext()
        with arithmetic, recomputing(self._recomputed):
            outputs = self._wrapped(input_BCHW)
        outputs = [output.float() for output in outputs]
        own = self._model.cost(outputs, input_BCHW, sharp_B3HW, self._config.loss, progress)
        return multi_scale_loss(outputs, sharp_B3HW, cost) if own is None else own

    def _exchange(self, *, last: bool) -> AbstractContextManager[None]:
        """Gradients are averaged with those of the other workers once a step, when the last piece has added its own."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return nullcontext()
        held: AbstractContextManager[None] = self._wrapped.no_sync()
        return held


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
