"""A model, test photographs and noise levels in; mean scores per level, of the model and of the blurred input, out.

The noise form of an evaluation: one model on one data set. For a registered model the scores also go to the run it was
trained in, as `gkm.scoring.logged` says, and every photograph's scores as a JSON artifact, which reports show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gkm.data.dataset.dataset import open_dataset
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.registry.promotion import Watch
from gkm.scoring.cells import Cell, Conditions, Place, check, grid, score_cells, with_blurred
from gkm.scoring.logged import log_scores
from gkm.scoring.rows import Block
from gkm.scoring.seen import refuse_seen
from gkm.scoring.subjects import Subject, find_subject
from gkm.scoring.summary import summarise
from gkm.tracking import Tracking

SIGMAS_8BIT = (0.0, 1.0, 3.0, 5.0)
"""Noise levels of the paper's Table 2, in 8-bit grey levels, and none."""


@dataclass(frozen=True)
class NoiseLevel:
    """Scores at one noise level: "psnr" in dB, "ssim" and "lpips", means over the photographs."""

    sigma_8bit: float
    restored: Mapping[str, float]
    blurred: Mapping[str, float]
    """Of the noisy blurred input itself."""


@dataclass(frozen=True)
class NoiseStudy:
    """Scores of one model at all levels."""

    subject: Subject
    levels: tuple[NoiseLevel, ...]
    photographs: int
    artifact: str | None
    """Name of the JSON artifact at the model's run; None for a model that is not registered."""


def check_sigmas(sigmas_8bit: Sequence[float], option: str) -> None:
    """InputError where one of them is no noise level; `option` is how the user gave it."""
    for sigma in sigmas_8bit:
        if not (math.isfinite(sigma) and 0 <= sigma <= 255):
            raise InputError(f"{option} {sigma:g}: noise is given in 8-bit grey levels, from 0 to 255")


def study_noise(
    tracking: Tracking,
    data: str,
    folder: str,
    *,
    selector: str | None = None,
    sigmas_8bit: Sequence[float] = SIGMAS_8BIT,
    seed: int = 0,
    cache: NodeCache | str | None = None,
    watch: Watch | None = None,
) -> NoiseStudy:
    """Score a model (see `gkm.scoring.subjects`) on the test photographs of `data` at each noise level.

    Every level, and every model, sees the same noise, scaled; it depends on `seed` and the photograph alone. A model
    that sees dual-pixel views gets them noisy, each with noise of its own; what it is compared with stays the
    photograph. What is finished is kept in `folder` and not computed again.

    Raises InputError for a model, data set or noise level that cannot be used.
    """
    check_sigmas(sigmas_8bit, "--sigma")
    subject, conditions = find_subject(tracking, selector), Conditions(seed=seed)
    place = Place("test photographs", open_dataset(data))
    cells = with_blurred(grid([subject], [place], sigmas_8bit))
    check(cells, conditions)
    refuse_seen(subject, place.dataset, conditions.split)
    blocks = score_cells(cells, folder, conditions, cache=cache, watch=watch)
    summaries = summarise(cells, blocks, {})
    means = {(one.cell.subject.kind == "blurred", one.cell.noise_sigma_8bit): one.means for one in summaries}
    sigmas = list(dict.fromkeys(sigmas_8bit))
    levels = tuple(NoiseLevel(sigma, means[False, sigma], means[True, sigma]) for sigma in sigmas)
    artifact = None
    if subject.run_id is not None:
        log_scores(tracking, cells, blocks, summaries, conditions)
        artifact = f"test/noise-{place.dataset.fingerprint}-seed{seed}.json"
        content = {"version": subject.version, "data": place.dataset.fingerprint, "seed": seed}
        levels_of = {"levels": _details(cells, blocks, sigmas)}
        tracking.log_text(subject.run_id, artifact, json.dumps(content | levels_of, indent=1))
    return NoiseStudy(subject, levels, len(blocks[0].rows), artifact)


def _details(cells: Sequence[Cell], blocks: Sequence[Block], sigmas: Sequence[float]) -> list[dict[str, object]]:
    """Every photograph's scores, in the form that reports read."""
    scores = {
        (cell.noise_sigma_8bit, "blurred" if cell.subject.kind == "blurred" else "restored"): block
        for cell, block in zip(cells, blocks, strict=True)
    }
    return [
        {"sigma_8bit": sigma}
        | {name: [asdict(row.score) for row in scores[sigma, name].rows] for name in ("restored", "blurred")}
        for sigma in sigmas
    ]
