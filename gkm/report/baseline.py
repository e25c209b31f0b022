"""Photographs in, the scores of the paper's iteration without learning out: "GKM fixed point, oracle kernels"."""

from __future__ import annotations

from pathlib import Path

import torch

from gkm.data.reading.cache import CachedSplit
from gkm.evaluation import ImageScore, evaluate
from gkm.evaluation.fixed_point import FIXED_POINT, best_iterations, fixed_point_restorer
from gkm.registry.promotion import Watch
from gkm.report.evidence import Baseline


def fixed_point_baseline(
    test: CachedSplit,
    validation: CachedSplit,
    *,
    device: torch.device,
    lpips_weights: str | Path | None = None,
    watch: Watch | None = None,
) -> Baseline:
    """Scores on the test photographs, after as many iterations as suit the first few validation photographs best."""
    count = best_iterations(validation, device)
    scores: list[ImageScore] = []
    for pair in watch("fixed-point iteration", test) if watch else test:
        scores += evaluate(fixed_point_restorer(pair, count), [pair], device=device, lpips_weights=lpips_weights)
    return Baseline(name=FIXED_POINT, iterations=count, scores=scores)
