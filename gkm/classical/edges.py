"""A photograph's luminance in, its edges at several scales out: where they are, and up to which scale they stay.

Karaali and Jung (TIP 2018) estimate blur at scale-consistent edges alone: those that Canny's detector finds at the same
pixel at every fine scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_gradient_magnitude

Array = npt.NDArray[np.float32]
SCALES_PIXELS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
"""Sigma of the Gaussian before the gradients: those of the authors' release."""
CONSISTENT_SCALES = 3
"""An edge has to be at the same pixel at as many of the finest scales."""
STRONG, WEAK = 0.5, 0.25
"""Quantiles of the gradients: an edge has one above the first, and goes on along those above the second."""
SMALLEST_GRADIENT = 1e-3
"""A pixel, at the finest scale: below are steps of 8 bits and rounding."""


@dataclass(frozen=True)
class Edges:
    """Edge pixels of a photograph, N in all, row by row."""

    rows_N: npt.NDArray[np.intp]  # noqa: N815
    columns_N: npt.NDArray[np.intp]  # noqa: N815
    scales_N: npt.NDArray[np.intp]  # noqa: N815
    """Index of the scale in `SCALES_PIXELS` up to which the edge is there without a gap."""


def consistent_edges(luminance_HW: Array) -> Edges:
    """The edges that are there at all of the finest scales."""
    from skimage.feature import canny  # takes a second to import

    there_HW = gaussian_gradient_magnitude(luminance_HW, SCALES_PIXELS[0]) >= SMALLEST_GRADIENT
    counts_HW = np.zeros(luminance_HW.shape, dtype=np.intp)
    for sigma in SCALES_PIXELS:
        there_HW &= canny(luminance_HW, sigma, low_threshold=WEAK, high_threshold=STRONG, use_quantiles=True)
        counts_HW += there_HW
    rows_N, columns_N = np.nonzero(counts_HW >= CONSISTENT_SCALES)
    return Edges(rows_N, columns_N, counts_HW[rows_N, columns_N] - 1)
