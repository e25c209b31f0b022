"""A sharp photograph and its depth in, the photograph as a lens focused elsewhere would take it out.

A thin lens spreads a point at depth d over a disk, the circle of confusion, whose size follows from focal length,
aperture and focus distance. The scene is cut into layers of nearly equal blur, which are painted from far to near
in linear light, so that near objects spill over far ones and never the other way round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import gaussian_filter, uniform_filter

from gkm.data.photos import Pixels, quantised
from gkm.light import disk, from_linear, to_linear

Array = npt.NDArray[np.float64]
PointSpread = Literal["disk", "gaussian"]

_CONTINUOUS_LEVELS = 2
"""Neighbours at most this many layers apart belong to one surface; farther apart, the nearer hides the farther."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """A thin lens before a sensor."""

    focal_length_mm: float
    f_number: float
    focus_metres: float
    sensor_width_mm: float = 36.0

    def __post_init__(self) -> None:
        if min(self.focal_length_mm, self.f_number, self.sensor_width_mm) <= 0:
            raise ValueError(f"focal length, f-number and sensor width must be positive: {self}")
        if self.focus_metres * 1000 <= self.focal_length_mm:
            raise ValueError(f"focus_metres must lie beyond the focal length: {self}")

    def radius_pixels(self, depth_metres: Array, width_pixels: int) -> Array:
        """Radius of the circle of confusion, positive behind the focus and negative before it.

        Its diameter on the sensor is A f |d - s| / (d (s - f)) with the aperture's diameter A = f / N, the
        distance d of the point and s of the focus (thin-lens equation).
        """
        focal = self.focal_length_mm / 1000
        diameter = focal**2 / self.f_number * (depth_metres - self.focus_metres)
        diameter /= depth_metres * (self.focus_metres - focal)
        return diameter / 2 / (self.sensor_width_mm / 1000) * width_pixels


def defocus(sharp_HW3: Pixels, depth_metres_HW: Array, lens: Lens, point_spread: PointSpread = "disk") -> Pixels:
    """`sharp_HW3` as `lens` takes it, with the same bits. Depths are positive and finite."""
    if sharp_HW3.shape[:2] != depth_metres_HW.shape:
        raise ValueError(f"a photograph of {sharp_HW3.shape[:2]} has a depth map of {depth_metres_HW.shape}")
    if not (np.isfinite(depth_metres_HW).all() and depth_metres_HW.min() > 0):
        raise ValueError("depths must be positive and finite; fill holes first")
    radius_HW = lens.radius_pixels(depth_metres_HW, sharp_HW3.shape[1])
    white = np.iinfo(sharp_HW3.dtype).max
    blurred_HW3 = from_linear(composite(to_linear(sharp_HW3 / white), radius_HW, point_spread))
    return quantised(blurred_HW3 * white, sharp_HW3.dtype)


def composite(linear_HW3: Array, radius_HW: Array, point_spread: PointSpread) -> Array:
    """Layers painted over each other from far to near, each blurred by its own point spread function.

    A layer goes on for some pixels beneath the nearer ones: with their true colours where they continue its surface,
    with its own mean colour where they hide it. So blurred edges of near layers uncover background, not emptiness.
    """
    level_HW = np.rint(2 * radius_HW).astype(int)
    reach = math.ceil(np.abs(radius_HW).max()) + 1
    canvas, cover = np.zeros_like(linear_HW3), np.zeros(radius_HW.shape)
    for level in sorted(np.unique(level_HW), reverse=True):
        box = _surroundings(level_HW == level, 2 * reach)
        paint, alpha = _layer(linear_HW3[box], level_HW[box], level, reach)
        if level:
            stack = spread(np.dstack([paint, alpha]), abs(level) / 2, point_spread)
            paint, alpha = stack[:, :, :3], stack[:, :, 3]
        canvas[box] = canvas[box] * (1 - alpha[:, :, None]) + paint
        cover[box] = cover[box] * (1 - alpha) + alpha
    return np.clip(canvas / cover[:, :, None], 0, 1)


def spread(image_HWC: Array, radius_pixels: float, point_spread: PointSpread) -> Array:
    """`image_HWC` blurred by a disk of `radius_pixels`, or by the Gaussian of the same variance (sigma = radius / 2).

    The image goes on beyond its border as its mirror image.
    """
    if point_spread == "gaussian":
        return np.asarray(gaussian_filter(image_HWC, radius_pixels / 2, axes=(0, 1), truncate=3.5))
    kernel = disk(radius_pixels)
    margin = len(kernel) // 2
    padded = np.pad(image_HWC, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    size = [fft.next_fast_len(length, real=True) for length in padded.shape[:2]]
    spectrum = fft.rfft2(padded, size, axes=(0, 1)) * fft.rfft2(kernel, size)[:, :, None]
    blurred = fft.irfft2(spectrum, size, axes=(0, 1))
    height, width = image_HWC.shape[:2]
    inner = blurred[2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]
    return np.asarray(np.clip(inner, 0, 1), dtype=np.float64)


def _layer(linear_HW3: Array, level_HW: npt.NDArray[np.int_], level: int, reach: int) -> tuple[Array, Array]:
    """Colours (times opacity) and opacity of a layer before its blur."""
    own = (level_HW == level).astype(float)
    near_share = uniform_filter(own, 2 * reach + 1, mode="constant")
    beneath = (near_share > 0.5 / (2 * reach + 1) ** 2) & (level_HW <= level)
    hidden = beneath & (level_HW < level - _CONTINUOUS_LEVELS)
    paint = linear_HW3 * beneath[:, :, None]
    if hidden.any():
        mean = uniform_filter(linear_HW3 * own[:, :, None], (2 * reach + 1, 2 * reach + 1, 1), mode="constant")
        paint[hidden] = np.clip(mean[hidden] / near_share[hidden, None], 0, 1)
    return paint, beneath.astype(float)


def _surroundings(mask_HW: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The rectangle around the true pixels, `margin` wider on each side, within the image."""
    slices = []
    for axis in (1, 0):
        used = np.flatnonzero(mask_HW.any(axis=axis))
        slices.append(slice(max(0, used[0] - margin), used[-1] + margin + 1))
    return slices[0], slices[1]
