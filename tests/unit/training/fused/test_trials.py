"""Trials trained together have the curves that each has alone."""

import copy

import pytest
import torch

from gkm.config import TrialConfig
from gkm.data.reading.loader import Batch
from gkm.errors import InputError
from gkm.networks import build
from gkm.training.average import average_of
from gkm.training.context import LocalContext
from gkm.training.course.position import StepLosses
from gkm.training.epoch import Trainer
from gkm.training.fused import FusedTrial, FusedTrials, check_one_shape
from gkm.training.store import open_store

BASE = TrialConfig().with_values(
    {
        "model.num_kernels": 3,
        "model.max_kernel_size": 5,
        "model.num_scales": 2,
        "model.width": 4,
        "data.crop_pixels": 32,
        "data.batch_size": 2,
        "optim.clip_norm": 0.5,
        "optim.decay_after": 0.5,
        "training.epochs": 6,
    }
)
DIFFERING = (
    {"training.seed": 0, "optim.learning_rate": 1e-3, "loss.schedule": "paper"},
    {"training.seed": 1, "optim.learning_rate": 3e-3, "loss.schedule": "l2", "training.ema": 0.9},
    {
        "training.seed": 2,
        "optim.learning_rate": 1e-3,
        "loss.schedule": "ssim",
        "optim.clip_norm": None,
        "loss.fourier_weight": 0.01,
        "training.ema": 0.5,
    },
)


class Batches:
    """Two batches an epoch, of the seed's own crops in an order of the epoch's own."""

    def __init__(self, config):
        generator = torch.Generator().manual_seed(config.training.seed)
        shape = config.data.batch_size, 3, config.data.crop_pixels, config.data.crop_pixels
        self.all = [Batch(*(torch.rand(shape, generator=generator) for _ in range(2))) for _ in range(2)]

    def epoch(self, epoch, start_batch=0):
        return iter((self.all if epoch % 2 else self.all[::-1])[start_batch:])


class EachLoss(StepLosses):
    """Keeps the loss of every step."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def add(self, loss):
        self.kept.append(loss.item())


def trial(config):
    torch.manual_seed(config.training.seed)
    network = build(config.model)
    return FusedTrial(network, torch.optim.Adam(network.parameters(), lr=1.0, fused=True), config)


def alone(config, folder, epochs):
    """Losses of each step, the network, and the average of its weights."""
    one = trial(config)
    trainer = Trainer(one.network, one.optimizer, config, LocalContext(open_store(str(folder))))
    batches = Batches(config)
    rates = [config.optim.learning_rate * (0.1 if epoch >= 3 else 1) for epoch in range(epochs)]
    average = average_of(one.network, config.training.ema)
    losses = []
    for epoch in range(epochs):
        trainer.train(batches, epoch, rates[epoch], EachLoss(losses), average=average)
    return losses, one.network, average


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {},
        pytest.param({"model.gcm": "learned_random"}, marks=pytest.mark.slow),
        pytest.param({"model.output": "sigmoid_image"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_curves_and_weights_are_those_of_each_alone_also_when_one_stops(model, tmp_path):
    configs = [BASE.with_values({**model, **values}) for values in DIFFERING]
    group = FusedTrials([trial(config) for config in configs])
    batches, curves = [Batches(config) for config in configs], [[], [], []]
    members = [0, 1, 2]
    for epoch in range(6):
        if epoch == 3:
            stopped = group.stop(1)
            members.remove(1)
            frozen = copy.deepcopy(stopped.network.state_dict())
        for step in zip(*(batches[member].epoch(epoch) for member in members), strict=True):
            for member, loss in zip(members, group.step(step, epoch), strict=True):
                curves[member].append(loss.item())
    for member, config in enumerate(configs):
        losses, network, average = alone(config, tmp_path / str(member), epochs=3 if member == 1 else 6)
        assert curves[member] == pytest.approx(losses, rel=1e-3)
        own = stopped if member == 1 else group.trials[members.index(member)]
        for name, values in network.state_dict().items():
            torch.testing.assert_close(own.network.state_dict()[name], values, rtol=1e-2, atol=1e-3)
        assert (average is None) == (own.average is None)
        if average is not None:
            for name, values in average.tensors().items():
                torch.testing.assert_close(own.average.tensors()[name], values, rtol=1e-2, atol=1e-3)
    for name, values in frozen.items():
        assert torch.equal(stopped.network.state_dict()[name], values)


def test_crops_that_grow_do_so_in_the_same_epochs():
    growing = BASE.with_values({"data.crop_schedule": [16]})
    check_one_shape([growing, growing])
    with pytest.raises(InputError, match=r"training\.epochs = 8 and 6"):
        check_one_shape([growing, growing.with_values({"training.epochs": 8})])
    check_one_shape([BASE, BASE.with_values({"training.epochs": 8})])
    group = FusedTrials([trial(growing), trial(growing)])
    small, large = (Batch(*(torch.rand(2, 3, pixels, pixels) for _ in range(2))) for pixels in (16, 32))
    for batch in (small, large):
        first, second = group.step([batch, batch], 0)
        assert first.item() == second.item()
    with pytest.raises(ValueError, match="have one shape"):
        group.step([small, large], 0)


def test_the_last_trial_does_not_leave_and_every_trial_needs_a_batch():
    group = FusedTrials([trial(BASE)])
    with pytest.raises(ValueError, match="the last trial"):
        group.stop(0)
    with pytest.raises(ValueError, match="1 trials need as many batches, but 0"):
        group.step([], 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model.width": 8}, r"model\.width = 8 and 4: trials of one group have it in common"),
        ({"data.batch_size": 4}, r"data\.batch_size = 4 and 2"),
        ({"model.kind": "dpdnet"}, r"model\.kind = dpdnet cannot be trained in a group"),
        ({"training.accumulate": 2}, r"training\.accumulate cannot be trained in a group"),
        ({"training.precision": "float16"}, r"training\.precision = float16 cannot be had in a group"),
        ({"data.crop_schedule": [16]}, r"data\.crop_schedule = \[16\] and "),
    ],
)
def test_what_has_no_common_shape_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        check_one_shape([BASE, BASE.with_values(values)])
    with pytest.raises(InputError, match="nothing to train"):
        check_one_shape([])
