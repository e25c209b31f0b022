"""One configuration and one seed: `TrialConfig`, a data set and a context in, a `TrialResult` out."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.photos import as_8bit
from gkm.data.reading.cache import CachedSplit, NodeCache, open_split
from gkm.data.reading.loader import CropLoader
from gkm.errors import InputError
from gkm.evaluation import ImageScore, Restore, evaluate, restore_image, restorer
from gkm.networks import Network
from gkm.training.best import PhotographScore
from gkm.training.context import TrainingContext, agreed, has_bfloat16
from gkm.training.course.arithmetic import refuse_precision
from gkm.training.course.beginning import begin, weights_digest
from gkm.training.loop import Left, Metrics, Validate, Validation, fit
from gkm.training.selection import Selection

SELECTION_METRIC = Selection().metric
"""What the best epoch of a trial, and the best trial of a study, are chosen by unless told otherwise: the largest."""
PICTURES_PER_TRIAL = 10
PICTURE_PIXELS = 256


@dataclass(frozen=True)
class TrialResult:
    """A trial that ran to its end."""

    history: tuple[Metrics, ...]
    """The validated epochs, in order."""

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept; None where version 0.1.0 ended the trial, which kept them elsewhere."""
        epoch = self.history[-1].get("best/epoch")
        return None if epoch is None else int(epoch)

    @property
    def best(self) -> Metrics:
        """What was measured at the best epoch."""
        if self.best_epoch is None:
            return max(self.history, key=lambda metrics: metrics[SELECTION_METRIC])
        return next(metrics for metrics in self.history if metrics["epoch"] == self.best_epoch)


def score_blurred(data: Dataset | str, cache: NodeCache | str | None = None) -> list[ImageScore]:
    """PSNR and SSIM of the validation photographs as they are: what any training is measured against."""
    validation = open_split(data, "validation", cache)
    return evaluate(None, (validation[i] for i in range(len(validation))), with_lpips=False)


def run_trial(
    config: TrialConfig,
    data: Dataset | str,
    context: TrainingContext,
    *,
    cache: NodeCache | str | None = None,
    selection: Selection | None = None,
    init: str | None = None,
    profiled: bool = False,
) -> TrialResult:
    """Train one network on the data set (at) `data`, resuming from the context's store.

    It begins with random weights, or with those in the sealed folder at `init`, which are of the same network.

    Every validated epoch is kept in the store and reported to the context, the weights whenever the metric of
    `selection` (default: `SELECTION_METRIC`) improves. For `cache`, see `gkm.data.reading.cache.open_split`. With
    `profiled`, the store gets a trace of some steps of rank 0.

    Raises InputError for a data set or a checkpoint that cannot be used, TrainingDivergedError when losses, weights or
    restored photographs are no longer finite, OSError where the store cannot be written, Left where the context was
    asked to leave; on every worker alike. Raises BatchTooLargeError where the memory does not suffice.
    """
    agreed(context, partial(refuse_precision, config, context.device), InputError)
    if config.training.precision == "bfloat16" and not has_bfloat16(context.device):
        logging.getLogger(__name__).warning(
            "training.precision = bfloat16: this %s has no instructions for it and takes about ten times as long; "
            "float32 would be faster",
            "GPU" if context.device.type == "cuda" else "processor",
        )
    model = agreed(context, partial(begin, config, init), InputError)
    batches, validation = agreed(context, partial(_open, config, data, context, cache), InputError)
    history = fit(
        model,
        batches,
        _validation(validation, context),
        config,
        context,
        selection=selection,
        data=validation.manifest.fingerprint,
        init=None if init is None else weights_digest(model),
        draw=_Pictures(validation, config),
        describe=batches.described,
        keep_profile=context.store.save_profile if profiled and context.rank == 0 else None,
    )
    return TrialResult(tuple(history))


def _open(
    config: TrialConfig, data: Dataset | str, context: TrainingContext, cache: NodeCache | str | None
) -> tuple[CropLoader, CachedSplit]:
    if (problem := config.division_problem(context.world_size)) is not None:
        raise InputError(problem)
    dataset = open_dataset(data)
    batches = CropLoader(
        open_split(dataset, "train", cache, inputs=config.model.inputs),
        batch_size=config.data.batch_size,
        crop_pixels=config.data.crop_pixels,
        crops_per_photo=config.data.crops_per_photo,
        flips=config.data.flips,
        noise_sigma_8bit=config.data.noise_sigma_8bit,
        match_brightness=config.data.match_brightness,
        seed=config.training.seed,
        rank=context.rank,
        world_size=context.world_size,
        side_at=partial(config.data.crop_pixels_at, epochs=config.training.epochs),
    )
    return batches, open_split(dataset, "validation", cache, inputs=config.model.inputs)


def _validation(split: CachedSplit, context: TrainingContext) -> Validate:
    """Scores of the whole split, each worker restoring its share.

    Means are taken over all photographs in their order, so that they do not depend on the number of workers.
    """

    def validate(model: Network) -> Validation:
        share = range(context.rank, len(split), context.world_size)
        timed = _Timed(restorer(model))

        def score() -> list[ImageScore]:
            pairs = (split[index] for index in _unless_leaving(share, context))
            return evaluate(timed, pairs, inputs=model.inputs, with_lpips=False, device=context.device)

        scores = agreed(context, score, FloatingPointError, InputError, Left)
        photographs = _in_order(context.gather(list(zip(share, scores, strict=True))))
        return Validation(
            {
                "val/psnr": fmean(photo.psnr for photo in photographs),
                "val/ssim": fmean(photo.ssim for photo in photographs),
                "val/loss": fmean(10 ** (-photo.psnr / 10) for photo in photographs),
                **timed.metrics(context),
            },
            photographs,
        )

    return validate


def _unless_leaving(share: Iterable[int], context: TrainingContext) -> Iterator[int]:
    """The photographs of `share`; raises Left where this process is asked to leave, for one may take long."""
    for index in share:
        if context.leaving():
            raise Left("left while the network was validated")
        yield index


def _in_order(scores: Iterable[tuple[int, ImageScore]]) -> tuple[PhotographScore, ...]:
    numbered = sorted(scores, key=lambda entry: entry[0])
    return tuple(PhotographScore(score.scene, score.name, score.psnr, score.ssim) for _, score in numbered)


class _Timed:
    """A restoring function that remembers how long it took."""

    def __init__(self, restore: Restore) -> None:
        self._restore = restore
        self._seconds = self._megapixels = 0.0

    def __call__(self, input_1CHW: Tensor) -> Tensor:
        began = self._now(input_1CHW)
        restored_13HW = self._restore(input_1CHW)
        self._seconds += self._now(restored_13HW) - began
        self._megapixels += input_1CHW[0, 0].numel() / 1e6
        return restored_13HW

    def metrics(self, context: TrainingContext) -> Metrics:
        """Of all workers together."""
        seconds, megapixels = context.sum([self._seconds, self._megapixels])
        return {"seconds_per_megapixel": seconds / megapixels}

    @staticmethod
    def _now(tensor: Tensor) -> float:
        if tensor.device.type == "cuda":
            torch.cuda.synchronize(tensor.device)
        return time.perf_counter()


class _Pictures:
    """Draws restored photographs, `PICTURES_PER_TRIAL` times in a trial."""

    def __init__(self, validation: CachedSplit, config: TrialConfig) -> None:
        self._validation = validation
        self._validations = -(-config.training.epochs // config.training.validate_every)
        self._every = -(-self._validations // PICTURES_PER_TRIAL)

    def __call__(self, number: int, model: Network) -> bytes | None:
        if number % self._every != 1 % self._every and number != self._validations:
            return None
        png = io.BytesIO()
        Image.fromarray(before_after(model, self._validation)).save(png, "PNG")
        return png.getvalue()


def before_after(model: Network, split: CachedSplit, photos: int = 2) -> np.ndarray:
    """The centres of the first `photos` photographs, one a row: blurred, restored, sharp. Height x width x 3, uint8."""
    rows = []
    for index in range(min(photos, len(split))):
        pair = split[index]
        restored = restore_image(model, *pair.seen(model.inputs))
        height, width = restored.shape[:2]
        top, left = max(0, (height - PICTURE_PIXELS) // 2), max(0, (width - PICTURE_PIXELS) // 2)
        window = np.s_[top : top + PICTURE_PIXELS, left : left + PICTURE_PIXELS]
        row = np.hstack([as_8bit(image[window]) for image in (pair.blurred_HW3, restored, pair.sharp_HW3)])
        rows.append(np.pad(row, ((0, PICTURE_PIXELS - row.shape[0]), (0, 3 * PICTURE_PIXELS - row.shape[1]), (0, 0))))
    return np.vstack(rows)
