"""sRGB values in, linear light out, and back; a radius in, the disk over which a lens spreads a point out.

For arrays and tensors alike: photographs are simulated and deconvolved with numpy, crops are blurred with PyTorch.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", npt.NDArray[np.float64], "Tensor")


def to_linear(srgb: Values) -> Values:
    """sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    dark = srgb <= 0.04045
    return dark * (srgb / 12.92) + ~dark * (((srgb + 0.055) / 1.055) ** 2.4)


def from_linear(linear: Values) -> Values:
    """Linear light in [0, 1] to sRGB values (IEC 61966-2-1)."""
    dark = linear <= 0.0031308
    return dark * (linear * 12.92) + ~dark * (1.055 * linear ** (1 / 2.4) - 0.055)


@lru_cache(maxsize=256)
def disk(radius_pixels: float) -> npt.NDArray[np.float64]:
    """Disk of `radius_pixels`: how much of each pixel it covers, sum 1, of odd size."""
    margin = max(0, math.ceil(radius_pixels - 0.5))
    parts = 16
    offsets = (np.arange((2 * margin + 1) * parts) + 0.5) / parts - margin - 0.5
    inside = offsets[:, None] ** 2 + offsets**2 <= radius_pixels**2
    covered = inside.reshape(2 * margin + 1, parts, 2 * margin + 1, parts).mean(axis=(1, 3))
    return np.asarray(covered / covered.sum())
