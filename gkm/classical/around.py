"""What was found at edge pixels in, what the edges in and around every cell say together out.

An edge alone says little: whether it was sharp before nobody knows. Edges around are as far from the camera, but for
few, and there may be none in a cell. So a cell is told by the means over squares of several sizes around it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from gkm.classical.edges import Edges

Array = npt.NDArray[np.float32]
CELL_PIXELS = 8
SIDES_CELLS = (1, 5, 17)
"""Of the squares, around every cell."""
FEATURES = 4
"""Of each square."""
_TYPICAL_ERROR_PIXELS = 0.3
_SMALLEST_WEIGHT = 0.02
"""Of what a larger square says, beside that of one edge pixel with the typical error: for squares without an edge."""
_SMALLEST_SHARE, _SMALLEST_VARIANCE = 1e-3, 1e-3


def cell_features(edges: Edges, sigmas_N: Array, errors_N: Array, size: tuple[int, ...]) -> Array:
    """For each square around every cell of a photograph of `size` pixels, [h,w,12].

    Mean and deviation of the sigmas of its edge pixels, the mean logarithm of their expected errors, and the logarithm
    of the sum of their weights for each cell, which are in proportion to one over the expected error.
    """
    height, width = (-(-length // CELL_PIXELS) for length in size)
    cell_N = edges.rows_N // CELL_PIXELS * width + edges.columns_N // CELL_PIXELS
    weights_N = _TYPICAL_ERROR_PIXELS / errors_N
    columns = (sigmas_N, sigmas_N**2, np.log(errors_N), np.ones_like(sigmas_N))
    sums = [np.bincount(cell_N, column * weights_N, height * width).reshape(height, width) for column in columns]
    sums_hw4 = np.stack(sums, axis=-1).astype(np.float32)
    whole_4 = sums_hw4.sum(axis=(0, 1))
    larger_hw4 = np.broadcast_to(whole_4 / max(whole_4[-1], _SMALLEST_WEIGHT), sums_hw4.shape)
    found = []
    for side in sorted(SIDES_CELLS, reverse=True):
        around_hw4 = uniform_filter(sums_hw4, side, axes=(0, 1), mode="constant")
        weights_hw1 = around_hw4[..., -1:]
        means_hw4 = (around_hw4 + _SMALLEST_WEIGHT * larger_hw4) / (weights_hw1 + _SMALLEST_WEIGHT)
        variances_hw = np.maximum(means_hw4[..., 1] - means_hw4[..., 0] ** 2, 0)
        deviations_hw = np.sqrt(variances_hw + _SMALLEST_VARIANCE)
        amounts_hw = np.log(np.maximum(weights_hw1[..., 0], 0) + _SMALLEST_SHARE)
        found += [means_hw4[..., 0], deviations_hw, means_hw4[..., 2], amounts_hw]
        larger_hw4 = means_hw4
    return np.stack(found, axis=-1).astype(np.float32)


def middles(size: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row and column of the middle pixel of every cell, in the order of the cells."""
    middles = [np.minimum(np.arange(0, length, CELL_PIXELS) + CELL_PIXELS // 2, length - 1) for length in size]
    rows_hw, columns_hw = np.meshgrid(*middles, indexing="ij")
    return rows_hw.ravel(), columns_hw.ravel()
