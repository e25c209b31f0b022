"""Photographs in, the scores of the paper's iteration without learning out: "GKM fixed point, oracle kernels".

It is told the sharp photograph, to find each pixel's kernel, and nothing else: what the mixture of Gaussians and
equation (6) give by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gkm import metrics
from gkm.data.reading.cache import CachedSplit
from gkm.evaluation import ImageScore, evaluate, to_tensor
from gkm.networks.gkmnet.fixed_point import iterates, oracle_coefficients, solve
from gkm.networks.gkmnet.kernels import paper_bank
from gkm.registry.promotion import Watch
from gkm.report.evidence import Baseline

if TYPE_CHECKING:
    from gkm.data.dataset.pair import Pair

BANK = paper_bank(21, 21)
"""The paper's own kernels, whatever the study searched."""
MOST_ITERATIONS = 6
PHOTOGRAPHS_TO_STOP_BY = 8
"""Validation photographs that choose the number of iterations."""


def fixed_point_baseline(
    test: CachedSplit,
    validation: CachedSplit,
    *,
    device: torch.device,
    lpips_weights: str | Path | None = None,
    watch: Watch | None = None,
) -> Baseline:
    """Scores on the test photographs, after as many iterations as suit the first few validation photographs best."""
    count = _best_count(islice(validation, PHOTOGRAPHS_TO_STOP_BY), device)
    scores: list[ImageScore] = []
    for pair in watch("fixed-point iteration", test) if watch else test:
        sharp_13HW = to_tensor(pair.sharp_HW3).to(device)
        scores += evaluate(
            lambda y, x=sharp_13HW: solve(y, oracle_coefficients(y, x, BANK), BANK, count),  # type: ignore[misc]
            [pair],
            device=device,
            lpips_weights=lpips_weights,
        )
    return Baseline(name="GKM fixed point, oracle kernels", iterations=count, scores=scores)


def _best_count(pairs: Iterable[Pair], device: torch.device) -> int:
    """How many iterations, of at most `MOST_ITERATIONS`, give the largest sum of PSNRs."""
    sums = torch.zeros(MOST_ITERATIONS + 1, dtype=torch.float64)
    for pair in pairs:
        y, sharp = (to_tensor(photo).to(device) for photo in (pair.blurred_HW3, pair.sharp_HW3))
        steps = islice(iterates(y, oracle_coefficients(y, sharp, BANK), BANK), MOST_ITERATIONS + 1)
        sums += torch.tensor([metrics.psnr(x.clamp(0, 1), sharp).item() for x in steps])
    return int(sums.argmax())
