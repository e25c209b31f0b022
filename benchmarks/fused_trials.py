"""Is it quicker to train trials together than one after the other? Both in one run: steps a second, ratio, curves.

    python benchmarks/fused_trials.py                  4 trials of search_spaces/quick.py, 30 steps each; minutes
    python benchmarks/fused_trials.py --quick          2 trials, 3 steps
    python benchmarks/fused_trials.py --trials 8 --width 16
    python benchmarks/fused_trials.py --operators      what convolutions in groups take, beside one after the other

The peer trains the same trials, with the same crops, by the usual training loop's step. Each step is taken by both in
turn, and the ratio is the median over the steps; with one thread times are processor time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from machine import clock, describe
from torch.nn import functional
from training_step import crops

from gkm.config import TrialConfig
from gkm.data.reading.loader import Batch
from gkm.losses import learning_rate_at
from gkm.networks import build
from gkm.training.average import average_of
from gkm.training.context import LocalContext
from gkm.training.course.position import StepLosses
from gkm.training.epoch import Trainer
from gkm.training.fused import FusedTrial, FusedTrials
from gkm.training.store import open_store
from search_spaces.quick import SPACE

CONVOLUTIONS = ((8, 8, 64, 3), (8, 18, 64, 3), (16, 16, 32, 3), (26, 72, 32, 5))
"""Channels of image and result, pixels, taps: the largest of width 8 and crops of 64 pixels."""


class OneBatch:
    """The batch that is next."""

    batch: Batch

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """It alone."""
        yield self.batch


def trial(config: TrialConfig) -> FusedTrial:
    """A network that starts from the seed of `config`, and its optimiser."""
    torch.manual_seed(config.training.seed)
    network = build(config.model)
    return FusedTrial(network, torch.optim.Adam(network.parameters(), fused=True), config)


def compare(configs: list[TrialConfig], steps: int, folder: Path) -> None:
    """Train all trials both ways; print times, ratio and the largest distance of the curves."""
    group = FusedTrials([trial(config) for config in configs])
    sources, trainers, averages = [], [], []
    for number, config in enumerate(configs):
        own = trial(config)
        context = LocalContext(open_store(str(folder / str(number))))
        trainers.append(Trainer(own.network, own.optimizer, config, context))
        averages.append(average_of(own.network, config.training.ema))
        sources.append(OneBatch())
    seconds: dict[str, list[float]] = {"alone": [], "together": []}
    distance = 0.0
    for step in range(steps):
        torch.manual_seed(step)  # the training loop seeds PyTorch, too
        for source, config in zip(sources, configs, strict=True):
            source.batch = Batch(*crops(config.data.batch_size, config.data.crop_pixels))
        started = clock()
        alone = []
        for trainer, source, average, config in zip(trainers, sources, averages, configs, strict=True):
            losses = StepLosses()
            rate = learning_rate_at(config.optim, 0, config.training.epochs)
            trainer.train(source, 0, rate, losses, average=average)
            losses.settle()
            alone.append(losses.total)
        between = clock()
        together = [float(loss) for loss in group.step([source.batch for source in sources], 0)]
        seconds["alone"].append(between - started)
        seconds["together"].append(clock() - between)
        distance = max(distance, *(abs(a - b) / a for a, b in zip(alone, together, strict=True)))
    for name, taken in seconds.items():
        print(f"{name:10} {len(configs) / statistics.median(taken):7.2f} steps a second", flush=True)
    ratio = statistics.median(a / b for a, b in zip(seconds["alone"][1:], seconds["together"][1:], strict=True))
    print(f"alone / together {ratio:.2f}; the curves are {distance:.1e} apart at most, relative to the loss")


def least(function: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the quickest round."""
    taken = []
    for _ in range(rounds + 1):
        started = clock()
        function()
        taken.append(1e3 * (clock() - started))
    return min(taken[1:])


def operators(networks: int, batch: int, rounds: int) -> None:
    """Forwards and backwards of several networks' convolutions: one after the other, and in groups."""
    for inputs, outputs, pixels, taps in CONVOLUTIONS:
        line = f"{inputs:3} -> {outputs:3}, {pixels} pixels, {taps} x {taps} taps:"
        for name, groups, layout in (
            ("one after the other", 1, torch.channels_last),
            ("in groups, channels last", networks, torch.channels_last),
            ("in groups, channels first", networks, torch.contiguous_format),
        ):
            x = torch.randn(batch, groups * inputs, pixels, pixels).contiguous(memory_format=layout).requires_grad_()
            weight = torch.randn(groups * outputs, inputs, taps, taps).contiguous(memory_format=layout).requires_grad_()

            def run(x: torch.Tensor = x, weight: torch.Tensor = weight, groups: int = groups) -> None:
                result = functional.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)
                torch.autograd.grad(result, (x, weight), torch.ones_like(result))

            line += f"  {name} {least(run, rounds) * (networks // groups):.1f} ms"
        print(line, flush=True)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--operators", action="store_true")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--crop-pixels", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trials, steps = (2, 3) if options.quick else (options.trials, options.steps)
    print(describe())
    if options.operators:
        operators(trials, SPACE.base.data.batch_size, rounds=2 if options.quick else 5)
        return
    sizes = {"model.width": options.width, "data.crop_pixels": options.crop_pixels}
    base = SPACE.base.with_values(sizes)
    rates = [1e-3 * 10 ** (number / max(1, trials - 1)) for number in range(trials)]
    configs = [
        base.with_values({"training.seed": number, "optim.learning_rate": rate}) for number, rate in enumerate(rates)
    ]
    print(f"{trials} trials of width {options.width}, crops of {options.crop_pixels} pixels, {steps} steps")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        compare(configs, steps, Path(folder))
    print(f"in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
