"""One configuration and one seed: `TrialConfig` and a data set in, a tracked `TrialResult` out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gkm.config import TrialConfig
from gkm.data.cache import CachedSplit, NodeCache, open_split
from gkm.data.loader import CropLoader
from gkm.evaluation import evaluate, restore_image, restorer
from gkm.model.gkmnet import GKMNet
from gkm.tracking import TrialRun
from gkm.training.checkpoint import save_weights
from gkm.training.context import TrainingContext, has_bfloat16
from gkm.training.loop import Metrics, Validate, fit

SELECTION_METRIC = "val/psnr"
"""What the best epoch of a trial, and the best trial of a study, is chosen by: larger is better."""
PICTURES_PER_TRIAL = 10
PICTURE_PIXELS = 256


@dataclass(frozen=True)
class TrialResult:
    """A trial that ran to its end."""

    history: tuple[Metrics, ...]
    """The validated epochs, in order."""
    run_id: str | None

    @property
    def best(self) -> Metrics:
        """The epoch whose weights were kept."""
        return max(self.history, key=lambda metrics: metrics[SELECTION_METRIC])


def run_trial(
    config: TrialConfig,
    data: str,
    context: TrainingContext,
    run: TrialRun | None = None,
    cache: NodeCache | str | None = None,
) -> TrialResult:
    """Train one network on the data set at `data` (a directory of shards), resuming from the context's checkpoint.

    On worker 0 every validated epoch goes to `run`, with the weights whenever `SELECTION_METRIC` improves. For
    `cache`, see `gkm.data.cache.open_split`.

    Raises InputError for a data set that cannot be used, TrainingDivergedError when the loss is no longer a number.
    """
    if config.training.precision == "bfloat16" and not has_bfloat16(context.device):
        logging.getLogger(__name__).warning(
            "training.precision = bfloat16: this %s has no instructions for it and takes about ten times as long; "
            "float32 would be faster",
            "GPU" if context.device.type == "cuda" else "processor",
        )
    torch.manual_seed(config.training.seed)
    model = GKMNet(config.model)
    batches = CropLoader(
        open_split(data, "train", cache),
        batch_size=config.data.batch_size,
        crop_pixels=config.data.crop_pixels,
        crops_per_photo=config.data.crops_per_photo,
        flips=config.data.flips,
        noise_sigma_8bit=config.data.noise_sigma_8bit,
        seed=config.training.seed,
        rank=context.rank,
        world_size=context.world_size,
    )
    validation = open_split(data, "validation", cache)
    recorder = _Recorder(run, validation, config) if run is not None else None
    history = fit(model, batches, _validation(validation, context), config, context, recorder)
    return TrialResult(tuple(history), run.run_id if run else None)


def _validation(split: CachedSplit, context: TrainingContext) -> Validate:
    """Mean scores over the whole split, each worker scoring its share."""

    def validate(model: GKMNet) -> Mapping[str, float]:
        share = [split[index] for index in range(context.rank, len(split), context.world_size)]
        scores = evaluate(restorer(model), share, with_lpips=False, device=context.device)
        squared_errors = [10 ** (-score.psnr / 10) for score in scores]
        sums = [sum(score.psnr for score in scores), sum(score.ssim for score in scores), sum(squared_errors)]
        psnr, ssim, loss, count = context.sum([*sums, float(len(scores))])
        return {"val/psnr": psnr / count, "val/ssim": ssim / count, "val/loss": loss / count}

    return validate


class _Recorder:
    """Sends validated epochs to the tracking store: metrics, a picture now and then, weights when they are better."""

    def __init__(self, run: TrialRun, validation: CachedSplit, config: TrialConfig) -> None:
        self._run = run
        self._validation = validation
        validations = -(-config.training.epochs // config.training.validate_every)
        self._picture_every = -(-validations // PICTURES_PER_TRIAL)
        self._validations = validations

    def __call__(self, history: list[Metrics], model: GKMNet) -> None:
        newest = history[-1]
        self._run.log_epoch(int(newest["epoch"]), {key: value for key, value in newest.items() if key != "epoch"})
        if len(history) % self._picture_every == 1 % self._picture_every or len(history) == self._validations:
            self._run.log_image("validation.png", before_after(model, self._validation))
        if newest[SELECTION_METRIC] > max((m[SELECTION_METRIC] for m in history[:-1]), default=float("-inf")):
            with tempfile.TemporaryDirectory(prefix="gkm-weights-") as directory:
                for path in sorted(save_weights(model, Path(directory)).iterdir()):
                    self._run.log_file(path, "weights")


def before_after(model: GKMNet, split: CachedSplit, photos: int = 2) -> np.ndarray:
    """The centres of the first `photos` photographs, one a row: blurred, restored, sharp. Height x width x 3, uint8."""
    rows = []
    for index in range(min(photos, len(split))):
        pair = split[index]
        restored = restore_image(model, pair.blurred_HW3)
        height, width = restored.shape[:2]
        top, left = max(0, (height - PICTURE_PIXELS) // 2), max(0, (width - PICTURE_PIXELS) // 2)
        window = np.s_[top : top + PICTURE_PIXELS, left : left + PICTURE_PIXELS]
        row = np.hstack([_to_8bit(image[window]) for image in (pair.blurred_HW3, restored, pair.sharp_HW3)])
        rows.append(np.pad(row, ((0, PICTURE_PIXELS - row.shape[0]), (0, 3 * PICTURE_PIXELS - row.shape[1]), (0, 0))))
    return np.vstack(rows)


def _to_8bit(image: np.ndarray) -> np.ndarray:
    return (image // 257).astype(np.uint8) if image.dtype == np.uint16 else image
