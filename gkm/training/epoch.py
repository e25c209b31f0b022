"""Batches of one epoch, or of its rest, in; optimiser steps taken, the loss of each step out.

A step is the same on one worker or several, in one piece or in several (`training.accumulate`): see docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.losses import scheduled_loss
from gkm.networks import Network
from gkm.networks.network import Progress
from gkm.training.average import WeightAverage
from gkm.training.context import TrainingContext
from gkm.training.course.arithmetic import Arithmetic
from gkm.training.course.memory import BatchTooLargeError, is_out_of_memory, largest_share, too_large
from gkm.training.course.position import StepLosses, random_state, set_random_state
from gkm.training.dropout import Share, with_shared_dropout
from gkm.training.group import has_batch_norm
from gkm.training.recomputing import recomputed_parts, recomputing
from gkm.training.usage import Pace


class PairedBatch(Protocol):
    """Crops in [0, 1] of what the network sees, [B, C, H, W], and of the sharp photographs, [B, 3, H, W]."""

    @property
    def input_BCHW(self) -> Tensor: ...
    @property
    def sharp_B3HW(self) -> Tensor: ...


class BatchSource(Protocol):
    """Batches that depend on their epoch and number alone, so that a resumed epoch goes on with the same ones."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[PairedBatch]: ...


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
        self.arithmetic = Arithmetic(config.training.precision, context.device)
        self.pace = Pace()

    def train(
        self,
        batches: BatchSource,
        epoch: int,
        learning_rate: float,
        losses: StepLosses,
        *,
        average: WeightAverage | None = None,
        random: Mapping[str, Tensor] | None = None,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Pass over the batches of an epoch from `losses.batches` on, whose own losses are added to `losses`.

        `random` is where random numbers stand in the middle of an epoch. `average` follows every step, and
        `after_step` is called after each; what it raises ends the epoch there.

        Raises BatchTooLargeError where the memory does not suffice.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        training = self._config.training
        # What a network draws while it trains (dropout) depends on the epoch alone: one that is resumed repeats itself.
        torch.manual_seed(training.seed * 1_000_003 + epoch)
        if random:
            set_random_state(self._context.device, random)
        self._model.train()
        for batch in self.pace.waited_for(batches.epoch(epoch, losses.batches)):
            with self.arithmetic.products():
                loss = self._step(batch, Progress(epoch, training.epochs))
            if average is not None:
                average.update()
            losses.add(loss)
            self.pace.count(len(batch.sharp_B3HW) * self._context.world_size)
            after_step()
        losses.settle()

    def _step(self, batch: PairedBatch, progress: Progress) -> Tensor:
        """One optimiser step; the loss of this worker's share, on its device."""
        device = self._context.device
        input_BCHW = batch.input_BCHW.to(device, non_blocking=True)
        sharp_B3HW = batch.sharp_B3HW.to(device, non_blocking=True)
        self._optimizer.zero_grad(set_to_none=True)
        try:
            loss = self._gradients(input_BCHW, sharp_B3HW, progress)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            loss = None
        if loss is None:  # outside of the handler, which would hold on to what has to be freed first
            raise self._too_large(input_BCHW, sharp_B3HW, progress)
        self.arithmetic.step(self._optimizer, self._model, self._config.optim.clip_norm)
        return loss

    def _gradients(self, input_BCHW: Tensor, sharp_B3HW: Tensor, progress: Progress) -> Tensor:
        """Add up the gradients of all pieces; the mean loss of their crops."""
        crops = len(input_BCHW)
        ahead, total = self._context.rank * crops, self._context.world_size * crops
        size = -(-crops // self._pieces)
        starts = range(0, crops, size)
        random = random_state(self._context.device) if self._draws and len(starts) > 1 else None
        losses = []
        for start in starts:
            if random is not None:
                set_random_state(self._context.device, random)
            blurred, sharp = input_BCHW[start : start + size], sharp_B3HW[start : start + size]
            with self._share.of(ahead + start, len(blurred), total), self._exchange(last=start == starts[-1]):
                loss = self._loss(blurred, sharp, progress)
                if len(starts) > 1:
                    loss = loss * (len(blurred) / crops)
                self.arithmetic.backward(loss)
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _too_large(self, input_BCHW: Tensor, sharp_B3HW: Tensor, progress: Progress) -> BatchTooLargeError:
        """The error for a share that does not fit; how many of its crops do is tried out where no worker waits."""

        def attempt(crops: int) -> None:
            self._optimizer.zero_grad(set_to_none=True)
            self._gradients(input_BCHW[:crops], sharp_B3HW[:crops], progress)

        fitting = largest_share(attempt, len(input_BCHW)) if self._context.world_size == 1 else None
        side, pieces = input_BCHW.shape[-1], not has_batch_norm(self._model)
        return BatchTooLargeError(too_large(self._config, self._context, side, fitting, pieces=pieces))

    def _loss(self, input_BCHW: Tensor, sharp_B3HW: Tensor, progress: Progress) -> Tensor:
        with torch.no_grad():
            shown_BCHW, wanted_BCHW = self._model.training_pair(input_BCHW, sharp_B3HW, progress)
        with self.arithmetic.forward(), recomputing(self._recomputed):
            outputs = self._wrapped(shown_BCHW)
        outputs = [output.float() for output in outputs]
        own = self._model.cost(outputs, shown_BCHW, wanted_BCHW, self._config.loss, progress)
        if own is not None:
            return own
        return scheduled_loss(outputs, wanted_BCHW, self._config.loss, progress.epoch, progress.epochs)

    def _exchange(self, *, last: bool) -> AbstractContextManager[None]:
        """Gradients are averaged with those of the other workers once a step, when the last piece has added its own."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return nullcontext()
        held: AbstractContextManager[None] = self._wrapped.no_sync()
        return held
