"""A model, test photographs and noise levels in; mean scores per level, of the model and of the blurred input, out.

For a registered model the scores also go to the run it was trained in: metrics `test/noise_SIGMA/psnr` and so on (those
of the blurred input as `test/noise_SIGMA/blurred_psnr`), and every photograph's scores as a JSON artifact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gkm.errors import InputError
from gkm.registry.promotion import Watch
from gkm.registry.versions import LoadedModel, load
from gkm.tracking import Tracking

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache
    from gkm.evaluation import ImageScore

SIGMAS_8BIT = (0.0, 1.0, 3.0, 5.0)
"""Noise levels of the paper's Table 2, in 8-bit grey levels, and none."""


@dataclass(frozen=True)
class NoiseLevel:
    """Scores at one noise level: "psnr" in dB, "ssim" and "lpips", means over the photographs."""

    sigma_8bit: float
    restored: Mapping[str, float]
    blurred: Mapping[str, float]
    """Of the noisy blurred input itself."""

    @property
    def metrics(self) -> dict[str, float]:
        """As named in MLflow."""
        prefix = f"test/noise_{self.sigma_8bit:g}"
        restored = {f"{prefix}/{key}": value for key, value in self.restored.items()}
        return restored | {f"{prefix}/blurred_{key}": value for key, value in self.blurred.items()}


@dataclass(frozen=True)
class NoiseStudy:
    """Scores of one model at all levels."""

    model: LoadedModel
    levels: tuple[NoiseLevel, ...]
    photographs: int
    artifact: str | None
    """Name of the JSON artifact at the model's run; None for a model that is not registered."""


def study_noise(
    tracking: Tracking,
    data: str,
    *,
    selector: str | None = None,
    sigmas_8bit: Sequence[float] = SIGMAS_8BIT,
    seed: int = 0,
    cache: NodeCache | str | None = None,
    watch: Watch | None = None,
) -> NoiseStudy:
    """Score a model (see `gkm.registry.load`) on the test photographs of `data` at each noise level.

    Every level, and every model, sees the same noise, scaled; it depends on `seed` and the photograph alone. A model
    that sees dual-pixel views gets them noisy, each with noise of its own; what it is compared with stays the
    photograph.

    Raises InputError for a model, data set or noise level that cannot be used.
    """
    from gkm.data.reading.cache import open_split
    from gkm.evaluation import evaluate, mean_scores, restorer
    from gkm.training.context import best_device

    for sigma in sigmas_8bit:
        if not (math.isfinite(sigma) and 0 <= sigma <= 255):
            raise InputError(f"--sigma {sigma:g}: noise is given in 8-bit grey levels, from 0 to 255")
    model = load(tracking, selector)
    inputs = model.model.inputs
    photos = open_split(data, "test", cache, inputs=inputs)
    device = best_device()
    restore = restorer(model.model.to(device))
    levels, details = [], []
    for sigma in dict.fromkeys(sigmas_8bit):
        scores: dict[str, list[ImageScore]] = {}
        for name, function in (("restored", restore), ("blurred", None)):
            pairs = watch(f"sigma {sigma:g}, {name}", photos) if watch else photos
            try:
                scores[name] = evaluate(
                    function, pairs, inputs=inputs, noise_sigma_8bit=sigma, seed=seed, device=device
                )
            except FloatingPointError as error:
                raise InputError(f"{model.name}: {error}; choose another --model") from None
        levels.append(NoiseLevel(sigma, mean_scores(scores["restored"]), mean_scores(scores["blurred"])))
        details.append({"sigma_8bit": sigma} | {name: [asdict(s) for s in found] for name, found in scores.items()})
    artifact = None
    if model.run_id is not None:
        artifact = f"test/noise-{photos.manifest.fingerprint}-seed{seed}.json"
        for level in levels:
            tracking.log_metrics(model.run_id, level.metrics)
        content = {"version": model.version, "data": photos.manifest.fingerprint, "seed": seed, "levels": details}
        tracking.log_text(model.run_id, artifact, json.dumps(content, indent=1))
    return NoiseStudy(model, tuple(levels), len(photos), artifact)
