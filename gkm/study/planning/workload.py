"""A design and a data set in; what training one of its settings takes, in steps and multiply-adds, out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

from gkm.config import NetworkConfig, TrialConfig
from gkm.data.dataset.manifest import Manifest
from gkm.errors import InputError
from gkm.study.design.design import Design
from gkm.study.design.parameters import Value
from gkm.study.design.space import SearchSpace

SAMPLES = 10
"""Settings that a design is judged by."""
STEP_PER_FORWARD = 3
"""A training step: forwards, and backwards for the weights and for the features."""
MOST_COMPUTED_WIDTH = 64
"""Small networks are counted while they compute, which is quicker than on PyTorch's device without data."""


@dataclass(frozen=True)
class Workload:
    """What one setting takes."""

    width: int
    """Channels at full resolution."""
    steps: int
    """Optimiser steps an epoch."""
    step: float
    """Multiply-adds of one of them."""
    validation: float
    """Multiply-adds of restoring the validation photographs once."""
    megapixels: float
    """Of the validation photographs."""
    epochs: int
    validations: int

    @property
    def multiply_adds_per_epoch(self) -> float:
        """On average over a whole trial, its validations included."""
        return self.steps * self.step + self.validation * self.validations / self.epochs


def workload(config: TrialConfig, manifest: Manifest) -> Workload:
    """What a trial with these settings takes on that data set."""
    crops = manifest.count("train") * config.data.crops_per_photo
    steps = -(-crops // config.data.batch_size)
    pixels = sum(pair.height * pair.width for pair in manifest.splits["validation"].entries)
    each = multiply_adds_per_pixel(config.model)
    batch = config.data.batch_size * fmean(side**2 for side in config.data.crop_sides)
    validations = -(-config.training.epochs // config.training.validate_every)
    step, validation = STEP_PER_FORWARD * each * batch, each * pixels
    return Workload(
        config.model.first_channels, steps, step, validation, pixels / 1e6, config.training.epochs, validations
    )


def mean_multiply_adds(loads: Sequence[Workload]) -> float:
    """For each epoch of a trial, on average over the settings."""
    return fmean(load.multiply_adds_per_epoch for load in loads)


def sampled_settings(design: Design, count: int = SAMPLES) -> tuple[TrialConfig, ...]:
    """The settings of `design`, or that many of them, drawn as by chance but always the same.

    Settings that a constraint would refuse are left out, unless there are no others.
    """
    if isinstance(design, SearchSpace):
        candidates: list[dict[str, Value]] = [dict(design.baseline), *_draws(design, count - 1)]
    else:
        candidates = list(design.settings.values())
        if len(candidates) > count:
            candidates = random.Random(0).sample(candidates, count)
    configs = []
    for values in candidates:
        try:
            configs.append(design.config(values))
        except InputError:
            continue  # options that do not go together are refused in the study as well
    kept = [config for config in configs if _is_allowed(design, config)] if design.constraints else configs
    return tuple(kept or configs or [design.base])


@lru_cache(maxsize=256)
def multiply_adds_per_pixel(model: NetworkConfig) -> float:
    """Multiply-adds that restoring an image carries out, for each of its pixels."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    from gkm.networks import build

    class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
        """As `FlopCounterMode`, without taking all other operations to pieces, which costs time."""

        operations: int = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if func.overloadpacket in flop_registry:
                self.operations += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
            return result

    side = max(64, model.smallest_crop_pixels)
    device = "cpu" if model.first_channels <= MOST_COMPUTED_WIDTH else "meta"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would spend more on waiting for each other
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = build(model).eval().to(device)
            image_1CHW = torch.zeros(1, 3 * len(network.inputs), side, side, device=device)
            with Counting() as counting:  # type: ignore[no-untyped-call,unused-ignore]
                network(image_1CHW)
    finally:
        torch.set_num_threads(threads)
    return float(counting.operations) / 2 / side**2


def _draws(space: SearchSpace, count: int) -> Iterator[dict[str, Value]]:
    suggester = _Random()
    for _ in range(count):
        yield space.suggest(suggester)


def _is_allowed(design: Design, config: TrialConfig) -> bool:
    from gkm.networks import build, measure

    measured = measure(build(config.model), 128, 128)
    known = {"parameters": float(measured.parameters), "multiply_adds": measured.macs / 128**2}
    return all(known[limit.metric] <= limit.at_most for limit in design.constraints)


class _Random:
    """Independent draws, the same at every start."""

    def __init__(self) -> None:
        self._random = random.Random(0)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        if log:
            return float(low * (high / low) ** self._random.random())
        return self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._random.choice(choices)
