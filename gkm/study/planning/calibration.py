"""Settings in; how fast this machine trains them out, measured in some seconds.

As many processes as there will be trials at a time run the training loop itself on random crops, checkpoints and all:
what they share (memory, caches, the GPU) is shared while they are measured. Large crops and photographs are cut down.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import fmean, median
from threading import BrokenBarrierError
from typing import TYPE_CHECKING, Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.planning.rates import DeviceRate
from gkm.study.planning.workload import STEP_PER_FORWARD, multiply_adds_per_pixel

if TYPE_CHECKING:
    from torch import Tensor

    from gkm.networks import Network
    from gkm.training.loop import Validation

MOST_PROCESSES = 8
STEP_LIMIT = {"cpu": 5e9, "cuda": 4e12}
"""Multiply-adds of a forward pass at most: larger batches and crops are cut down to it."""
PHOTO_LIMIT = {"cpu": 2e9, "cuda": 1e13}
"""Multiply-adds of restoring a photograph, likewise."""
STEPS_SECONDS = 0.7
"""How long the steps of one setting are measured."""
LONGEST_SECONDS = 180
_FOLDER = "gkm-plan-"
_barrier: Barrier | None = None


@dataclass(frozen=True)
class Sample:
    """What one process measured of one setting, in seconds."""

    step: float
    restoring: float
    scoring: float
    keeping: float
    work: tuple[float, float, float]
    """Multiply-adds of that step and that restoration; megapixels of the photograph."""


def calibrate(
    configs: Sequence[TrialConfig],
    photo: tuple[int, int] = (300, 450),
    *,
    slots: int = 1,
    threads: int = 1,
    sharing: int = 1,
    meanwhile: Callable[[], object] = lambda: None,
) -> DeviceRate:
    """The rate of one of `slots` trials of `threads` threads each that train such settings here at the same time.

    `photo` is the height and width of a validation photograph. Where there is a GPU, it is what is measured, with
    `sharing` trials on it at the same time.
    `meanwhile` is called while the processes start.

    Raises InputError where such a process is killed, or takes longer than LONGEST_SECONDS.
    """
    import torch

    cuda = torch.cuda.is_available()
    processes = max(1, min(sharing if cuda else slots, MOST_PROCESSES))
    context = get_context("spawn")
    initial = (context.Barrier(processes), threads)
    try:
        with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=initial) as pool:
            tasks = [pool.submit(_measure, configs, photo) for _ in range(processes)]
            meanwhile()
            answers = [task.result(timeout=LONGEST_SECONDS) for task in tasks]
    except (BrokenExecutor, BrokenBarrierError, TimeoutError) as error:
        what = "was killed" if isinstance(error, BrokenExecutor) else f"took longer than {LONGEST_SECONDS} s"
        raise InputError(
            f"a process that measured this machine's speed {what}; free some memory, or name the device (--device cpu)"
        ) from None
    samples = [sample for found, _ in answers for sample in found]
    return DeviceRate(
        name=torch.cuda.get_device_name() if cuda else "this machine",
        training=sum(s.work[0] for s in samples) / sum(s.step for s in samples),
        inference=sum(s.work[1] for s in samples) / sum(s.restoring for s in samples),
        scoring=sum(s.scoring for s in samples) / sum(s.work[2] for s in samples),
        epoch_seconds=fmean(s.keeping for s in samples),
        trial_seconds=0.5,
        start_seconds=max(seconds for _, seconds in answers),
        measured=True,
        basis=f"measured here, {processes} at a time" + ("" if cuda else f", {_threads(threads)} each"),
    )


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _prepare(barrier: Barrier, threads: int) -> None:
    """Once in each process."""
    global _barrier  # noqa: PLW0603 - a barrier can be handed over at the start of a process alone
    import torch

    torch.set_num_threads(threads)
    _barrier = barrier


def _measure(configs: Sequence[TrialConfig], photo: tuple[int, int]) -> tuple[list[Sample], float]:
    """Train each setting for some steps and validate it once; with the seconds that the imports took."""
    from gkm import trial as imported  # noqa: F401 - what a trial's process imports
    from gkm.training.scratch import scratch

    ready = time.process_time()
    work = [multiply_adds_per_pixel(config.model) for config in configs]
    assert _barrier is not None
    _barrier.wait(LONGEST_SECONDS)
    samples = []
    for config, each in zip(configs, work, strict=True):
        with scratch(Path(tempfile.gettempdir()), _FOLDER) as folder:
            samples.append(_sample(config, each, photo, folder))
    return samples, ready


def _sample(config: TrialConfig, each: float, photo: tuple[int, int], folder: Path) -> Sample:
    from gkm.networks import build
    from gkm.training.context import LocalContext
    from gkm.training.loop import fit
    from gkm.training.store import open_store

    clock = _clock()
    context = LocalContext(open_store(str(folder)), lambda metrics: marks.append(clock()))
    marks: list[float] = []
    batch, crop = cut_down(config, each * config.data.crop_pixels**2, context.device.type)
    height, width = _smaller(photo, each, context.device.type)
    changes: dict[str, Any] = {"data.crop_pixels": crop, "data.crop_schedule": (), "training.epochs": 1}
    if context.device.type != "cuda" and config.processor_problem() is not None:
        changes["training.precision"] = "float32"
    shorter = config.with_values(changes)
    steps = _Steps(batch, 3 * len(config.model.inputs), crop, clock)
    validate = _Validate(height, width, clock, context.device)
    fit(build(config.model), steps, validate, shorter, context)
    return Sample(
        step=median(steps.seconds),
        restoring=validate.restoring,
        scoring=validate.scoring,
        keeping=marks[-1] - validate.ended,
        work=(STEP_PER_FORWARD * each * batch * crop**2, each * height * width, height * width / 1e6),
    )


def cut_down(config: TrialConfig, crop_work: float, device: str) -> tuple[int, int]:
    """Batch size and side of crops with no more work than `STEP_LIMIT`; `crop_work` is that of one crop as it is."""
    crop, limit = config.data.crop_pixels, STEP_LIMIT[device]
    smallest = max(64, config.model.smallest_crop_pixels)
    while crop_work > limit and crop // 2 >= smallest:
        crop, crop_work = crop // 2, crop_work / 4
    return max(1, min(config.data.batch_size, int(limit / crop_work))), crop


def _smaller(photo: tuple[int, int], each: float, device: str) -> tuple[int, int]:
    share = min(1.0, (PHOTO_LIMIT[device] / (each * photo[0] * photo[1])) ** 0.5)
    return max(64, round(photo[0] * share)), max(64, round(photo[1] * share))


def _clock() -> Callable[[], float]:
    """Seconds; of this process alone where it has one thread of a processor, so that others here do not count."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def now() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return now


@dataclass
class _Batch:
    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


@dataclass
class _Steps:
    """Random crops; between two of them lies an optimiser step. The first one is not counted: it prepares others."""

    batch: int
    channels: int
    crop: int
    clock: Callable[[], float]
    seconds: list[float] = field(default_factory=list)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Any]:
        import torch

        crops = _Batch(*(torch.rand(self.batch, channels, self.crop, self.crop) for channels in (self.channels, 3)))
        yield crops
        deadline = time.perf_counter() + STEPS_SECONDS
        while not self.seconds or (time.perf_counter() < deadline and len(self.seconds) < 50):
            began = self.clock()
            yield crops
            self.seconds.append(self.clock() - began)


@dataclass
class _Validate:
    """Restores and scores a random photograph, twice: the first time has preparations of its own."""

    height: int
    width: int
    clock: Callable[[], float]
    device: Any
    restoring: float = 0.0
    scoring: float = 0.0
    ended: float = 0.0

    def __call__(self, model: Network) -> Validation:
        import numpy as np

        from gkm.data.dataset.pair import Pair
        from gkm.evaluation import evaluate, restorer, to_tensor
        from gkm.training.loop import Validation

        shape = (self.height, self.width, 3)
        random = np.random.default_rng(0)
        blurred_HW3, sharp_HW3 = (random.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
        pair = Pair("scene", "0", blurred_HW3, sharp_HW3)
        metrics: Mapping[str, float] = {}
        for _ in range(2):
            began = self.clock()
            restorer(model)(to_tensor(pair.blurred_HW3).repeat(1, len(model.inputs), 1, 1).to(self.device))
            restored = self.clock()
            score = evaluate(None, [pair], with_lpips=False, device=self.device)[0]
            self.ended = self.clock()
            self.restoring, self.scoring = restored - began, self.ended - restored
            metrics = {"val/psnr": score.psnr, "val/ssim": score.ssim, "val/loss": 1.0}
        return Validation(metrics)
