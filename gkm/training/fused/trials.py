"""Trials of one shape in; all of them trained together in one process, each with the curve that it has alone.

They share the settings of the network, crops and batch; seeds, learning rates and schedules may differ. What is shared
in the work is said in `gkm.networks.gkmnet.joined`. Shape legend: N trials, B crops of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.losses import learning_rate_at, scheduled_loss
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.joined import join
from gkm.training.average import WeightAverage, average_of
from gkm.training.epoch import PairedBatch


@dataclass(frozen=True)
class FusedTrial:
    """One of several trials: what it learns with, its settings, and the average of its weights.

    With `training.ema` a group begins an average where none is given.
    """

    network: GKMNet
    optimizer: torch.optim.Optimizer
    config: TrialConfig
    average: WeightAverage | None = None


class FusedTrials:
    """Trials that take their steps together, until they are stopped one by one.

    Networks and optimisers stay those that were given: they can be validated, saved, and trained further alone, between
    any two steps.
    """

    def __init__(self, trials: Sequence[FusedTrial]) -> None:
        """Raises InputError where the trials do not have one shape, or ask for what cannot be shared."""
        check_one_shape([trial.config for trial in trials])
        self.trials = [
            replace(trial, average=trial.average or average_of(trial.network, trial.config.training.ema))
            for trial in trials
        ]
        self._joined = join([trial.network for trial in trials])

    def step(self, batches: Sequence[PairedBatch], epoch: int) -> list[Tensor]:
        """One optimiser step of every trial in `epoch` (from 0) with its own batch; their losses, on their device.

        Raises ValueError where there is not one batch for each trial, or their crops differ in number or size.
        """
        if len(batches) != len(self.trials):
            raise ValueError(f"{len(self.trials)} trials need as many batches, but {len(batches)} are given")
        shapes = {tuple(batch.input_BCHW.shape) for batch in batches}
        if len(shapes) > 1:
            raise ValueError(f"the batches of one step have one shape, but {sorted(shapes)} are given")
        for trial in self.trials:
            trial.network.train()
            trial.optimizer.zero_grad(set_to_none=True)
        self._joined.train()
        losses = self._losses(batches, epoch)
        # No loss depends on another's weights: the gradient of the sum is that of each.
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call,unused-ignore]
        for trial in self.trials:
            optim = trial.config.optim
            if optim.clip_norm is not None:
                nn.utils.clip_grad_norm_(trial.network.parameters(), optim.clip_norm)
            for group in trial.optimizer.param_groups:
                group["lr"] = learning_rate_at(optim, epoch, trial.config.training.epochs)
            trial.optimizer.step()
            if trial.average is not None:
                trial.average.update()
        return [loss.detach() for loss in losses]

    def stop(self, index: int) -> FusedTrial:
        """Take a trial out of the group, which goes on without it; ValueError where it is the last one."""
        if len(self.trials) == 1:
            raise ValueError("the last trial of a group cannot leave it; end the group instead")
        stopped = self.trials.pop(index)
        self._joined = join([trial.network for trial in self.trials])
        return stopped

    def _losses(self, batches: Sequence[PairedBatch], epoch: int) -> list[Tensor]:
        device = next(self.trials[0].network.parameters()).device
        inputs = torch.cat([batch.input_BCHW.to(device, non_blocking=True) for batch in batches])
        bfloat16 = self.trials[0].config.training.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext():
            outputs = self._joined(inputs)
        shares = zip(*(output.float().chunk(len(self.trials)) for output in outputs), strict=True)
        losses = []
        for trial, batch, own in zip(self.trials, batches, shares, strict=True):
            sharp = batch.sharp_B3HW.to(device, non_blocking=True)
            losses.append(scheduled_loss(own, sharp, trial.config.loss, epoch, trial.config.training.epochs))
        return losses


def check_one_shape(configs: Sequence[TrialConfig]) -> None:
    """Raises InputError where trials of these settings cannot be trained together."""
    if not configs:
        raise InputError("there is nothing to train together; give one trial or more")
    for config in configs:
        if config.model.kind != "gkmnet":
            raise InputError(f"model.kind = {config.model.kind} cannot be trained in a group yet; train it alone")
        training = config.training
        if training.accumulate > 1:
            raise InputError(
                "trials with training.accumulate cannot be trained in a group; leave it out or train them alone"
            )
        if training.precision not in ("float32", "bfloat16"):
            raise InputError(
                f"training.precision = {training.precision} cannot be had in a group yet; set float32 or bfloat16, or "
                "train this trial alone"
            )
    first = _shape(configs[0])
    for config in configs[1:]:
        for key, value in _shape(config).items():
            if value != first[key]:
                raise InputError(
                    f"{key} = {value} and {first[key]}: trials of one group have it in common; train those of either "
                    "value in a group of their own"
                )


def _shape(config: TrialConfig) -> dict[str, object]:
    """What trials of one group have in common, by key; where crops grow, also the epochs, which say when."""
    shared = {"data.crop_pixels", "data.crop_schedule", "data.batch_size", "training.precision"}
    if config.data.crop_schedule:
        shared.add("training.epochs")
    return {key: value for key, value in config.flat().items() if key.startswith("model.") or key in shared}
