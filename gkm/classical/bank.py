"""A photograph and its map of blur in, the photograph restored out: deconvolved with a bank of Gaussians, blended.

The photograph is cut into overlapping tiles. Each is deconvolved with those sigmas of the bank that its map needs, and
every pixel takes the two results next to its own sigma, in proportion. Tiles fade into each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gkm.classical.deconvolution import Prior, deconvolve

Array = npt.NDArray[np.float32]
BANK_PIXELS = (0.0, 0.4, 0.7, 1.0, 1.35, 1.7, 2.1, 2.5, 3.0, 3.5, 4.2, 5.0)
"""Sigmas that photographs are deconvolved with; 0 leaves them as they are."""


@dataclass(frozen=True, kw_only=True)
class Deconvolution:
    """How a photograph is restored by its map."""

    prior: Prior = field(default_factory=Prior)
    tile_pixels: int = 256
    margin_pixels: int = 32
    """By how much tiles reach over their own pixels; twice as much is shared by neighbours."""


def deconvolve_by_map(blurred_CHW: Array, sigmas_HW: Array, settings: Deconvolution) -> Array:
    """`blurred_CHW` in [0, 1] without the Gaussian blur whose sigma, in pixels, is `sigmas_HW`; in [0, 1].

    Sigmas beyond the bank's are taken for its largest.
    """
    height, width = sigmas_HW.shape
    result_CHW = np.zeros_like(blurred_CHW)
    weight_HW = np.zeros_like(sigmas_HW)
    for rows, row_weights in _spans(height, settings):
        for columns, column_weights in _spans(width, settings):
            tile_CHW = np.ascontiguousarray(blurred_CHW[:, rows, columns])
            fade_HW = np.outer(row_weights, column_weights)
            restored_CHW = _tile(tile_CHW, sigmas_HW[rows, columns], fade_HW > 0, settings.prior)
            result_CHW[:, rows, columns] += fade_HW * restored_CHW
            weight_HW[rows, columns] += fade_HW
    return np.asarray(np.clip(result_CHW / weight_HW, 0, 1), dtype=np.float32)


def _tile(tile_CHW: Array, sigmas_HW: Array, wanted_HW: npt.NDArray[np.bool_], prior: Prior) -> Array:
    """The tile restored where it is wanted; 0 elsewhere."""
    result_CHW = np.zeros_like(tile_CHW)
    place_HW = np.where(wanted_HW, np.interp(sigmas_HW, BANK_PIXELS, range(len(BANK_PIXELS))), -1)
    for index, sigma in enumerate(BANK_PIXELS):
        share_HW = np.maximum(1 - np.abs(place_HW - index), 0).astype(np.float32) * wanted_HW
        if share_HW.any():
            result_CHW += share_HW * (deconvolve(tile_CHW, sigma, prior) if sigma else tile_CHW)
    return result_CHW


def _spans(length: int, settings: Deconvolution) -> list[tuple[slice, Array]]:
    """Overlapping parts of a side, and weights that fade where they overlap: 0 in the outer half of the overlap."""
    count = max(round(length / settings.tile_pixels), 1)
    borders = [round(length * index / count) for index in range(count + 1)]
    margin, found = settings.margin_pixels, []
    for first, last in pairwise(borders):
        begin, end = max(first - margin, 0), min(last + margin, length)
        places = np.arange(begin, end) + 0.5
        rise = np.ones(len(places)) if first == 0 else (places - first) / margin + 0.5
        fall = np.ones(len(places)) if last == length else (last - places) / margin + 0.5
        found.append((slice(begin, end), np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)))
    return found
