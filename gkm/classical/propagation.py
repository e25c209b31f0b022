"""Values at some pixels in, a value for every pixel out: even, but for few steps.

Blur changes slowly on a surface and all at once from one to another, and what is estimated of it has outliers. So
absolute differences are minimised, from what was found and between neighbours (total variation after Rudin, Osher and
Fatemi, Physica D 1992), on a coarse grid.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

CELLS, SMALLEST_CELL_PIXELS = 20_000, 8
"""About so many cells at most, of at least so many pixels a side."""
SMOOTHNESS_PIXELS = 27.0
"""Weight of a step for each pixel of its length, beside that of an error for each pixel of its area."""
SMALL_SLOPE, SMALL_ERROR = 0.006, 0.3
"""Change from pixel to pixel below which a step, and difference below which an error, counts by its square."""
TURNS = 6
_SMALLEST_WEIGHT = 1e-9


def fill(values_HW: Array, weights_HW: Array) -> Array:
    """A value for every pixel, [H,W], from those that have a weight; 0 everywhere if none has.

    Minimises sum w |f - v| + `SMOOTHNESS_PIXELS` sum |f - f'| over square cells, with v the weighted mean in a cell, w
    its weight, and f' the neighbours. Both absolute values are quadratic near 0, so that slopes stay slopes. Between
    the middles of cells values are linear.
    """
    if not weights_HW.any():
        return np.zeros_like(values_HW)
    height, width = values_HW.shape
    size = max(SMALLEST_CELL_PIXELS, math.ceil(math.sqrt(height * width / CELLS)))
    weights = _sums(weights_HW, size)
    values = _sums(values_HW * weights_HW, size) / np.maximum(weights, _SMALLEST_WEIGHT)
    filled = _least_absolute(values, weights, size)
    rows, columns = ((np.arange(length) + 0.5) / size - 0.5 for length in (height, width))
    return _between(_between(filled, columns, axis=1), rows, axis=0)


def _least_absolute(values: Wide, weights: Wide, size: int) -> Wide:
    """By least squares that are weighted anew, turn by turn."""
    number = np.arange(values.size).reshape(values.shape)
    first = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    second = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    small_step, smoothness = SMALL_SLOPE * size, SMOOTHNESS_PIXELS * size
    errors, steps = np.zeros(values.size), np.zeros(len(first))
    for _ in range(TURNS):
        own = weights.ravel() / np.hypot(errors, SMALL_ERROR) + _SMALLEST_WEIGHT
        ties = smoothness / np.hypot(steps, small_step)
        found = _least_squares(values.ravel(), own, first, second, ties)
        errors, steps = found - values.ravel(), found[first] - found[second]
    return found.reshape(values.shape)


def _least_squares(
    values: Wide, own: Wide, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], ties: Wide
) -> Wide:
    """The f that minimises sum own (f - values)^2 + sum ties (f[first] - f[second])^2."""
    count = len(values)
    sums = np.bincount(first, ties, count) + np.bincount(second, ties, count)
    places = (np.concatenate([first, second]), np.concatenate([second, first]))
    system = sparse.diags_array(own + sums) - sparse.csr_array((np.tile(ties, 2), places), shape=(count, count))
    factors = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.asarray(factors.solve(own * values))


def _sums(image_HW: Array, size: int) -> Wide:
    """Over cells of `size` pixels a side; the last ones are smaller."""
    rows, columns = (np.arange(0, length, size) for length in image_HW.shape)
    return np.add.reduceat(np.add.reduceat(image_HW, rows, axis=0), columns, axis=1).astype(np.float64)


def _between(image: npt.NDArray[np.floating], places: Wide, axis: int) -> Array:
    """Linear between the elements along an axis, the outermost beyond them."""
    places = np.clip(places, 0, image.shape[axis] - 1)
    low = np.floor(places).astype(np.intp)
    high = np.minimum(low + 1, image.shape[axis] - 1)
    share = np.expand_dims(places - low, 1 - axis).astype(np.float32)
    lower, upper = (np.take(image, index, axis).astype(np.float32) for index in (low, high))
    return np.asarray(lower + share * (upper - lower))
