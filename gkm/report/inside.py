"""A network and a test photograph in, what the network did with it out: the result of each scale, coefficient maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gkm.evaluation import to_8bit, to_tensor
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.inspection import kernels, trace
from gkm.report.evidence import Inside
from gkm.report.names import kernel_names

if TYPE_CHECKING:
    from gkm.data.dataset.pair import Pair

MOST_PIXELS = 1_000_000
"""All maps of all scales are kept at once; of larger photographs the middle is looked at."""
MOST_MAPS = 6


def look_inside(model: GKMNet, pair: Pair) -> Inside:
    """What `model`, on its own device, does with the blurred photograph of `pair`, with the middle of a large one."""
    blurred_HW3 = _middle(pair.blurred_HW3)
    device = next(model.parameters()).device
    steps = trace(model, to_tensor(blurred_HW3).to(device))
    last_of_scale = {step.scale: step for step in steps}
    finest = steps[-1]
    shown = _strongest(finest.gamma_x_KHW) if model.gcm is not None else []
    found = kernels(model)
    sigmas = None if found is None or model.config.gcm == "learned_random" else found.sigmas_K.tolist()
    names = kernel_names(len(finest.gamma_x_KHW), sigmas)
    return Inside(
        scene=pair.scene,
        name=pair.name,
        whole=blurred_HW3.shape == pair.blurred_HW3.shape,
        results_HW3=[to_8bit(step.result_3HW[None]) for step in last_of_scale.values()],
        maps_KHW=finest.gamma_x_KHW[shown].float().cpu().numpy(),
        map_names=[names[index] for index in shown],
    )


def _middle(photo_HW3: np.ndarray) -> np.ndarray:
    height, width = photo_HW3.shape[:2]
    share = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
    rows, columns = math.ceil(height * share), math.ceil(width * share)
    top, left = (height - rows) // 2, (width - columns) // 2
    return photo_HW3[top : top + rows, left : left + columns]


def _strongest(maps_KHW: Tensor) -> list[int]:
    """The up to `MOST_MAPS` maps with the largest coefficients, in the order of their kernels."""
    peaks_K = maps_KHW.abs().amax((1, 2))
    return sorted(peaks_K.topk(min(len(peaks_K), MOST_MAPS)).indices.tolist())
