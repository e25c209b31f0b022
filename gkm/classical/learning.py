"""Features of places of known blur in, a regression out: how those that the package ships were made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import block_diag
from torch import Tensor, nn

from gkm.classical.regression import LARGEST_SCALE, SMALLEST_SCALE, Regression

Array = npt.NDArray[np.float32]
UNITS, STEPS, BATCH = 16, 1500, 1024
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-4


def learn(features_NF: Array, sigmas_N: Array, *, steps: int = STEPS, seed: int = 0) -> Regression:
    """Fits sigma, in pixels, and its error by the likelihood of Laplace's distribution; the same for the same input."""
    middle_F, spread_F = features_NF.mean(axis=0), features_NF.std(axis=0) + np.float32(1e-6)
    given_NF, wanted_N = torch.from_numpy((features_NF - middle_F) / spread_F), torch.from_numpy(sigmas_N)
    generator = torch.Generator().manual_seed(seed)
    sizes = ((features_NF.shape[1], UNITS), (UNITS, UNITS), (UNITS, 2))
    weights = [torch.randn(size, generator=generator) * math.sqrt(2 / size[0]) for size in sizes]
    biases = [torch.zeros(size[1]) for size in sizes]
    biases[-1][0] = wanted_N.mean()
    learned = [nn.Parameter(one) for pair in zip(weights, biases, strict=True) for one in pair]
    optimiser = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(given_NF), (BATCH,), generator=generator)
        optimiser.zero_grad()
        loss = _improbability(_figures(given_NF[chosen], learned), wanted_N[chosen])
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        optimiser.step()
        schedule.step()
    names = ("first_FU", "first_U", "second_UU", "second_U", "last_U2", "last_2")
    arrays = {name: one.detach().numpy().copy() for name, one in zip(names, learned, strict=True)}
    return Regression(middle_F=middle_F, spread_F=spread_F, **arrays)


def mean_of(members: Sequence[Regression]) -> Regression:
    """An ensemble as one perceptron: its sigma is the mean of theirs, its error their geometric mean.

    All were learned from the same features. Their units stand side by side and share no weight.
    """
    return Regression(
        middle_F=members[0].middle_F,
        spread_F=members[0].spread_F,
        first_FU=np.concatenate([one.first_FU for one in members], axis=1),
        first_U=np.concatenate([one.first_U for one in members]),
        second_UU=block_diag(*(one.second_UU for one in members)),
        second_U=np.concatenate([one.second_U for one in members]),
        last_U2=(np.concatenate([one.last_U2 for one in members]) / len(members)).astype(np.float32),
        last_2=np.mean([one.last_2 for one in members], axis=0),
    )


def _figures(given_BF: Tensor, learned: list[nn.Parameter]) -> Tensor:
    hidden_BU = torch.relu(given_BF @ learned[0] + learned[1])
    return torch.relu(hidden_BU @ learned[2] + learned[3]) @ learned[4] + learned[5]


def _improbability(figures_B2: Tensor, wanted_B: Tensor) -> Tensor:
    log_scales_B = figures_B2[:, 1].clamp(math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE))
    return ((figures_B2[:, 0] - wanted_B).abs() * torch.exp(-log_scales_B) + log_scales_B).mean()
