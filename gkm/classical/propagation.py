"""Values at some pixels and a photograph in, a value for every pixel out: smooth, but for the photograph's edges.

The recursive filter of the domain transform (Gastal and Oliveira, SIGGRAPH 2011): weights fall with the distance along
rows and columns, to which the photograph's differences are added. EBDB's authors propagate with it in their release.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_SMALLEST_WEIGHT = 1e-20


def smooth(images_HWC: Array, guide_HWC: Array, *, reach_pixels: float, reach_range: float, rounds: int = 3) -> Array:
    """Each channel of `images_HWC` smoothed along the surfaces of `guide_HWC`, [H,W,C].

    Args:
        reach_pixels: standard deviation of the filter where the guide is flat.
        reach_range: difference of the guide (the sum over its channels) that stops as much as `reach_pixels` do.
        rounds: passes over rows and columns; more leave fewer stripes.
    """
    result_HWC = np.ascontiguousarray(images_HWC, dtype=np.float32)
    scale = reach_pixels / reach_range
    steps_HW = [1 + scale * np.abs(np.diff(guide_HWC, axis=axis)).sum(axis=2) for axis in (0, 1)]
    for turn in range(rounds):
        # The deviations of the passes add up, squared, to that of the whole (their equation 14).
        deviation = reach_pixels * math.sqrt(3) * 2 ** (rounds - turn - 1) / math.sqrt(4**rounds - 1)
        decay = math.exp(-math.sqrt(2) / deviation)
        _both_ways(result_HWC.swapaxes(0, 1), np.power(decay, steps_HW[1].T, dtype=np.float32))
        _both_ways(result_HWC, np.power(decay, steps_HW[0], dtype=np.float32))
    return result_HWC


def propagate(
    values_HW: Array, weights_HW: Array, guide_HWC: Array, *, reach_pixels: float, reach_range: float, rounds: int = 5
) -> Array:
    """Weighted means of `values_HW` around every pixel, [H,W]; 0 everywhere if all weights are 0.

    `weights_HW` says how sure a value is: 0 where there is none. The other arguments are those of `smooth`.
    """
    both_HW2 = np.stack([values_HW * weights_HW, weights_HW], axis=2)
    total_HW2 = smooth(both_HW2, guide_HWC, reach_pixels=reach_pixels, reach_range=reach_range, rounds=rounds)
    return np.asarray(total_HW2[..., 0] / np.maximum(total_HW2[..., 1], _SMALLEST_WEIGHT), dtype=np.float32)


def _both_ways(lines_NWC: Array, decay_NW: Array) -> None:
    """In place: every line along the first axis mixed with the one before it, forwards and then backwards."""
    for index in range(1, len(lines_NWC)):
        lines_NWC[index] += decay_NW[index - 1][:, None] * (lines_NWC[index - 1] - lines_NWC[index])
    for index in range(len(lines_NWC) - 2, -1, -1):
        lines_NWC[index] += decay_NW[index][:, None] * (lines_NWC[index + 1] - lines_NWC[index])
