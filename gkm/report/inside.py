"""A network and a test photograph in, what the network did with it out: the result of each scale, maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gkm.evaluation import to_8bit, to_input
from gkm.networks import Network
from gkm.networks.kinds import kind_of
from gkm.report.evidence import Inside

if TYPE_CHECKING:
    from gkm.data.dataset.pair import Pair

MOST_PIXELS = 1_000_000
"""All maps of all scales are kept at once; of larger photographs the middle is looked at."""
MOST_MAPS = 6


def look_inside(model: Network, pair: Pair) -> Inside | None:
    """What `model`, on its own device, does with what it sees of `pair`, with the middle of a large photograph.

    None for networks that are not to be looked into.
    """
    look = kind_of(model).look_inside
    if look is None:
        return None
    middles_HW3 = [_middle(photo_HW3) for photo_HW3 in pair.seen(model.inputs)]
    device = next(model.parameters()).device
    view = look(model, to_input(middles_HW3).to(device))
    shown = [] if view.maps_KHW is None else _strongest(view.maps_KHW)
    return Inside(
        scene=pair.scene,
        name=pair.name,
        whole=middles_HW3[0].shape == pair.blurred_HW3.shape,
        results_HW3=[to_8bit(result_3HW[None]) for result_3HW in view.results_3HW],
        maps_KHW=[] if view.maps_KHW is None else list(view.maps_KHW[shown].float().cpu().numpy()),
        map_names=[view.map_names[index] for index in shown],
        maps_note=view.maps_note,
    )


def _middle(photo_HW3: np.ndarray) -> np.ndarray:
    height, width = photo_HW3.shape[:2]
    share = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
    rows, columns = math.ceil(height * share), math.ceil(width * share)
    top, left = (height - rows) // 2, (width - columns) // 2
    return photo_HW3[top : top + rows, left : left + columns]


def _strongest(maps_KHW: Tensor) -> list[int]:
    """The up to `MOST_MAPS` maps with the largest values, in their order."""
    peaks_K = maps_KHW.abs().amax((1, 2))
    return sorted(peaks_K.topk(min(len(peaks_K), MOST_MAPS)).indices.tolist())
