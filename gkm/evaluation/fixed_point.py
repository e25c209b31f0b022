"""Photographs in, the scores of the paper's iteration without learning out: equations (4) to (6), with oracle kernels.

It is told the sharp photograph, to find each pixel's kernel, and nothing else: what the mixture of Gaussians and
equation (6) give by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from gkm import metrics
from gkm.data.dataset.pair import Pair
from gkm.evaluation.restoring import Restore
from gkm.evaluation.tensors import to_tensor
from gkm.networks.gkmnet.fixed_point import iterates, oracle_coefficients, solve
from gkm.networks.gkmnet.kernels import paper_bank

FIXED_POINT = "GKM fixed point, oracle kernels"
"""How it is called in tables."""
BANK = paper_bank(21, 21)
"""The paper's own kernels, whatever a study searched."""
MOST_ITERATIONS = 6
PHOTOGRAPHS_TO_STOP_BY = 8
"""Validation photographs that choose the number of iterations."""


def fixed_point_restorer(pair: Pair, iterations: int) -> Restore:
    """The iteration for this pair, as a function of its blurred photograph."""

    def restore(blurred_13HW: Tensor) -> Tensor:
        height, width = blurred_13HW.shape[-2:]
        sharp_13HW = to_tensor(pair.sharp_HW3)[..., :height, :width].to(blurred_13HW)
        return solve(blurred_13HW, oracle_coefficients(blurred_13HW, sharp_13HW, BANK), BANK, iterations)

    return restore


def best_iterations(validation: Iterable[Pair], device: Any = "cpu") -> int:
    """How many iterations, of at most `MOST_ITERATIONS`, suit the first few validation photographs best (mean PSNR)."""
    sums = torch.zeros(MOST_ITERATIONS + 1, dtype=torch.float64)
    for pair in islice(validation, PHOTOGRAPHS_TO_STOP_BY):
        y, sharp = (to_tensor(photo).to(device) for photo in (pair.blurred_HW3, pair.sharp_HW3))
        steps = islice(iterates(y, oracle_coefficients(y, sharp, BANK), BANK), MOST_ITERATIONS + 1)
        sums += torch.tensor([metrics.psnr(x.clamp(0, 1), sharp).item() for x in steps])
    return int(sums.argmax())
