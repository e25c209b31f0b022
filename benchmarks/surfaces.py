"""Learning curves made by formula, in dB of PSNR, on which searches are compared; none of them was trained.

Each surface is a table of settings with three seeds, 27 epochs and the seconds that each takes. What a setting is worth
is its value after all epochs; the best of the table is the optimum.

- crossing: fast starters end low. What is best after one epoch is far from what is best after 27.
- noisy: curves keep their order, but noise of 0.3 dB between seeds, and of 0.15 dB between epochs, hides it.
- conditional: a choice of three kinds of network decides whether a fourth parameter exists, and where the best rate is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Condition, Float, Int, SearchSpace
from gkm.study.insight.curves import Array, Curves

EPOCHS, SETTINGS = 27, 1500
RATE, KERNELS, DECAY = "optim.learning_rate", "model.num_kernels", "optim.decay_factor"
GCM, CLIP, SCHEDULE = "model.gcm", "optim.clip_norm", "loss.schedule"
BASE = TrialConfig(training=TrainingConfig(epochs=EPOCHS))
NUMBERS = {RATE: Float(1e-5, 1e-1, log=True), KERNELS: Int(3, 33, step=2), DECAY: Float(0.02, 1.0)}
SPACES = {
    "crossing": SearchSpace(NUMBERS, base=BASE, confirm=0),
    "noisy": SearchSpace(NUMBERS, base=BASE, confirm=0),
    "conditional": SearchSpace(
        {
            GCM: Choice("fixed", "learned_gaussian", "learned_random"),
            CLIP: Condition(GCM, ("learned_gaussian", "learned_random"), Float(0.01, 10.0, log=True)),
            SCHEDULE: Choice("paper", "release", "l2", "ssim"),
            **NUMBERS,
        },
        base=BASE,
        confirm=0,
    ),
}
Settings = Mapping[str, Any]


def _curve(top: float, pace: float, start: float = 18.0) -> Array:
    """From `start` dB towards `top`, most of the way in `pace` epochs."""
    epochs = np.arange(1, EPOCHS + 1)
    return np.asarray(top - (top - start) * np.exp(-((epochs / pace) ** 0.7)), dtype=np.float64)


def _seconds(settings: Settings, random: np.random.Generator) -> Array:
    """More kernels take longer."""
    return np.asarray((10 + settings[KERNELS]) * random.uniform(0.95, 1.05, EPOCHS), dtype=np.float64)


def _place(settings: Settings) -> tuple[float, float, float]:
    """The three numbers, each from -1 to 1."""
    rate = (math.log10(settings[RATE]) + 3) / 2
    return rate, (settings[KERNELS] - 18) / 15, 2 * (settings[DECAY] - 0.02) / 0.98 - 1


def crossing(settings: Settings, random: np.random.Generator) -> tuple[Array, Array]:
    rate, kernels, decay = _place(settings)
    top = 32 - 6 * (rate + 0.35) ** 2 - 1.2 * (kernels - 0.5) ** 2 - 0.4 * (decay + 0.6) ** 2
    pace = 9 * 3 ** (-1.5 * rate) * (1 + 0.3 * kernels)
    return _curve(top, pace) + random.normal(0, 0.03, EPOCHS), _seconds(settings, random)


def noisy(settings: Settings, random: np.random.Generator) -> tuple[Array, Array]:
    rate, kernels, decay = _place(settings)
    top = 31 - 5 * (rate - 0.2) ** 2 - 0.8 * (kernels - 0.2) ** 2 - 0.8 * (decay - rate) ** 2
    noise = random.normal(0, 0.3) + random.normal(0, 0.15, EPOCHS)
    return _curve(top, 5.0) + noise, _seconds(settings, random)


def conditional(settings: Settings, random: np.random.Generator) -> tuple[Array, Array]:
    rate, kernels, decay = _place(settings)
    kind = settings[GCM]
    best_rate = {"fixed": 0.1, "learned_gaussian": -0.2, "learned_random": -0.5}[kind]
    top = {"fixed": 30.6, "learned_gaussian": 31.4, "learned_random": 30.0}[kind]
    top += {"paper": 0.3, "release": 0.25, "l2": 0.0, "ssim": -0.4}[settings[SCHEDULE]]
    top -= 5 * (rate - best_rate) ** 2 + 0.8 * (kernels - 0.4) ** 2 + 0.3 * (decay + 0.5) ** 2
    if kind != "fixed":
        top -= 1.5 * (math.log10(settings[CLIP]) / 1.5) ** 2
    pace = (5 if kind == "fixed" else 8) * 2 ** (-rate)
    noise = random.normal(0, 0.05) + random.normal(0, 0.03, EPOCHS)
    return _curve(top, pace) + noise, _seconds(settings, random)


def made(names: Sequence[str] = tuple(SPACES)) -> dict[str, tuple[Curves, SearchSpace]]:
    """The surfaces called so, as tables, with what is searched."""
    formulas = {"crossing": crossing, "noisy": noisy, "conditional": conditional}
    return {name: (Curves.from_surface(SPACES[name], formulas[name], count=SETTINGS), SPACES[name]) for name in names}
