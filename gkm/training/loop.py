"""The training loop: a network, batches and a context in; reported epochs and a trained network out.

It knows a `TrainingContext` and a `BatchSource`, never Ray, MLflow or S3.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.losses import learning_rate_at
from gkm.networks import Network
from gkm.training.average import average_of
from gkm.training.context import TrainingContext, from_first
from gkm.training.course.divergence import Describe, TrainingDivergedError, diverged, refuse_divergence
from gkm.training.course.keeping import Draw, Validation, finish_keeping, is_kept, judged, keep_epoch, keep_position
from gkm.training.course.leaving import Left, Wish
from gkm.training.course.lookout import Lookout
from gkm.training.course.position import Position, StepLosses
from gkm.training.course.profiling import Keep, ProfiledBatches
from gkm.training.course.state import TrainingState
from gkm.training.epoch import BatchSource, Trainer
from gkm.training.resuming import Identity, read_checkpoint
from gkm.training.selection import Selection
from gkm.training.usage import Usage

__all__ = ["Draw", "Left", "Metrics", "TrainingDivergedError", "Validate", "Validation", "fit"]

Metrics = dict[str, float]
Validate = Callable[[Network], Validation]
"""Scores the network on the validation photographs; called on every worker at the same epochs.

Raises, on every worker, FloatingPointError where a restored photograph has values that are not finite, and Left where
the context was asked to leave meanwhile."""


def fit(
    model: Network,
    batches: BatchSource,
    validate: Validate,
    config: TrialConfig,
    context: TrainingContext,
    *,
    selection: Selection | None = None,
    data: str | None = None,
    init: str | None = None,
    draw: Draw | None = None,
    describe: Describe | None = None,
    keep_profile: Keep | None = None,
) -> list[Metrics]:
    """Train `model` in place for `config.training.epochs` epochs and return the metrics of every validated epoch.

    With `training.ema` it is the average of the weights that is validated and kept, and that `model` has in the end.

    Resumes from the newest whole checkpoint in the context's store, within an epoch too. Checkpoints are recognised by
    `data`, the fingerprint of the data set, and `init`, the digest of the weights that `model` has where they are not
    random. `describe` names what a batch shows that diverges. With `keep_profile` some steps are profiled.

    Each entry holds "epoch" (1-based), "train/loss", "learning_rate", what `validate` measures, "seconds" (of training
    and validation since epoch 1, over all resumptions), "time" (Unix seconds at which the epoch was first finished),
    what `Usage` and `Pace` measure, "best/epoch" and "best/METRIC": of the weights that are kept.

    Raises TrainingDivergedError when losses, weights or restored photographs are no longer finite, InputError where
    the checkpoint belongs to something else, OSError where the store cannot be written, Left where the context was
    asked to leave, with a checkpoint of that moment: on every worker alike. Raises BatchTooLargeError on a worker
    whose memory does not suffice.
    """
    selection = selection or Selection()
    identity = Identity(config, selection, data, init)
    model.to(context.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.optim.learning_rate, fused=True)
    trainer = Trainer(model, optimizer, config, context)
    average = average_of(model, config.training.ema)
    state = TrainingState(model, optimizer, average, identity, context.device, trainer.arithmetic)
    checkpoint, notes = from_first(context, partial(read_checkpoint, context.store, identity), InputError)
    if checkpoint:
        state.restore(checkpoint)
    state.notes += [note for note in notes if note not in state.notes]
    context.resumed(state.history, "; ".join(notes) or None)

    if keep_profile is not None:
        batches = ProfiledBatches(batches, context.device, keep_profile, trainer.pace.aside)
    course = _Course(trainer, batches, validate, config, context, selection, state, draw, describe)
    try:
        while state.position.epoch < config.training.epochs:
            course.train_epoch()
        course.report()
    except Exception:
        course.give_up()
        raise
    if average is not None:
        average.write()
    model.eval()
    return state.history


@dataclass
class _Course:
    """The epochs of a training, from where its state stands on."""

    trainer: Trainer
    batches: BatchSource
    validate: Validate
    config: TrialConfig
    context: TrainingContext
    selection: Selection
    state: TrainingState
    draw: Draw | None
    describe: Describe | None
    started: float = field(default_factory=time.monotonic)
    unreported: Metrics | None = None
    """The newest epoch, while the store does not have it yet."""

    def __post_init__(self) -> None:
        self.lookout = Lookout(self.context, self.config.training.checkpoint_minutes)
        self.usage = Usage(self.context.device)

    @property
    def seconds(self) -> float:
        """Of training and validation since epoch 1."""
        return self.state.seconds + time.monotonic() - self.started

    def train_epoch(self) -> None:
        """Train for what is left of an epoch, validate, keep and report it if it is one of those."""
        state, training = self.state, self.config.training
        epoch = state.position.epoch
        learning_rate = learning_rate_at(self.config.optim, epoch, training.epochs)
        losses = StepLosses(state.position.batch, state.position.total)
        self.trainer.train(
            self.batches,
            epoch,
            learning_rate,
            losses,
            average=state.average,
            random=state.random,
            after_step=partial(self._after_step, losses),
        )
        state.random = {}
        self._settle(losses)
        mean_losses = [*state.position.losses, state.position.total / losses.batches]
        if (epoch + 1) % training.validate_every and epoch + 1 < training.epochs:
            state.position = Position(epoch + 1, losses=mean_losses)
            return
        validation = self._validated(epoch)
        metrics: Metrics = {
            "epoch": float(epoch + 1),
            "train/loss": sum(mean_losses) / len(mean_losses),
            "learning_rate": learning_rate,
            **validation.metrics,
            "seconds": self.seconds,
            "time": time.time(),
            **self.usage.measure(),
            **self.trainer.pace.measure(),
        }
        state.history.append(metrics | _best(self.selection, metrics, state.history))
        state.position = Position(epoch + 1)
        self.report()
        keep_epoch(self.context, state, validation, self.draw, self.seconds)
        self.lookout.kept()
        self.unreported = state.history[-1]
        if is_kept(self.context):
            self.report()

    def report(self) -> None:
        """Report the newest epoch, unless that was done, once the store has it."""
        metrics, self.unreported = self.unreported, None
        finish_keeping(self.context)
        if metrics is not None:
            self.context.report(metrics)

    def give_up(self) -> None:
        """Training ends early: what was kept is brought to its place all the same."""
        try:
            self.context.store.wait()
        except (InputError, OSError) as error:
            logging.getLogger(__name__).warning("%s", error)

    def _after_step(self, losses: StepLosses) -> None:
        """Write a checkpoint if one is due or asked for; raises Left if that is to be the last."""
        wish = self.lookout.after_step()
        if self.unreported is not None and self.lookout.idle:
            self.report()
        if wish is Wish.NOTHING:
            return
        self._settle(losses)
        self._keep_position()
        if wish is Wish.LEAVE:
            self.report()
            raise Left(f"left after epoch {self.state.position.epoch + 1}, batch {self.state.position.batch}")

    def _settle(self, losses: StepLosses) -> None:
        """Bring the position up to the last step, whose weights are checked."""
        epoch = self.state.position.epoch
        refuse_divergence(self.context, self.state.model, losses, self.config, epoch, self.describe)
        if (problem := self.state.arithmetic.problem()) is not None:  # the same on every worker
            raise TrainingDivergedError(
                f"{problem}, at epoch {epoch + 1}, step {losses.batches}; set training.precision=bfloat16 or float32"
            )
        (total,) = self.context.sum([losses.total])
        self.state.position.batch = losses.batches
        self.state.position.total = total / self.context.world_size

    def _keep_position(self) -> None:
        self.report()
        keep_position(self.context, self.state, self.seconds)
        self.lookout.kept()

    def _validated(self, epoch: int) -> Validation:
        model = self.state.model
        model.eval()
        try:
            with judged(self.state.average):
                return self.validate(model)
        except FloatingPointError as error:
            raise diverged(f"{error} after epoch {epoch + 1}", self.config) from None
        except Left:
            self._keep_position()  # after the epoch's last batch: what is left of it is the validation
            self.report()
            raise


def _best(selection: Selection, metrics: Metrics, history: list[Metrics]) -> Metrics:
    """The best epoch so far and its value, `metrics` being the newest."""
    value, before = selection.value(metrics), history[-1] if history else {}
    # Version 0.1.0 kept its best weights elsewhere: after one of its checkpoints the search for them begins anew.
    if "best/epoch" in before and not selection.is_better(value, before[selection.best_key]):
        return {"best/epoch": before["best/epoch"], selection.best_key: before[selection.best_key]}
    return {"best/epoch": metrics["epoch"], selection.best_key: value}
