"""A depth map's file, a stereo pair's disparity, or a size and a seed in; depths in metres without holes out."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

from gkm import storage
from gkm.data.photos import read_rgb
from gkm.errors import InputError

Array = npt.NDArray[np.float64]


def read_map(path: str | Path) -> Array:
    """Depth in metres, height x width, of a file: `.npy` and float TIFF hold metres, 16-bit PNG and TIFF millimetres.

    Zero, infinity and NaN are unknown and filled like holes of a disparity. InputError names a file that is no map.
    """
    path = storage.path(path)
    metres_HW = _metres(path)
    if metres_HW.ndim != 2 or metres_HW.dtype.kind not in "fiu":
        raise InputError(f"{path}: has the shape {metres_HW.shape} of {metres_HW.dtype}; depth maps are height x width")
    metres_HW = metres_HW.astype(np.float64)
    if np.nanmin(metres_HW, initial=0) < 0:
        raise InputError(
            f"{path}: holds negative depths; give metres (or millimetres in 16-bit files), 0 where unknown"
        )
    known_HW = np.isfinite(metres_HW) & (metres_HW > 0)
    if not known_HW.any():
        raise InputError(f"{path}: holds no known depth; give another map, or leave out --depth")
    return 1 / fill_holes(np.where(known_HW, 1 / np.where(known_HW, metres_HW, 1), np.nan))


def from_disparity(
    disparity_HW: npt.NDArray[np.floating], *, focal_pixels: float, baseline_metres: float, offset_pixels: float
) -> Array:
    """Depth of a rectified stereo pair: baseline x focal length / (disparity + offset of the principal points).

    Holes (values that are not finite) are filled first.
    """
    return baseline_metres * focal_pixels / (fill_holes(disparity_HW) + offset_pixels)


def fill_holes(disparity_HW: npt.NDArray[np.floating]) -> Array:
    """Gives each hole the smaller of the nearest disparities to its left and right.

    Holes are what one of the two cameras did not see: background behind an edge, so the farther neighbour is right.
    """
    known_HW = np.isfinite(disparity_HW)
    if not known_HW.any():
        raise ValueError("a disparity map needs at least one known value")
    values_HW = np.where(known_HW, disparity_HW, np.inf).astype(np.float64)
    left, right = _last_known(values_HW, known_HW), _last_known(values_HW[:, ::-1], known_HW[:, ::-1])[:, ::-1]
    filled = np.where(known_HW, values_HW, np.minimum(left, right))
    empty_rows = ~known_HW.any(axis=1)
    if empty_rows.any():
        rows = np.flatnonzero(~empty_rows)
        filled[empty_rows] = filled[rows[np.abs(rows - np.flatnonzero(empty_rows)[:, None]).argmin(axis=1)]]
    return filled


def smooth(height: int, width: int, *, near_metres: float, far_metres: float, seed: int) -> Array:
    """A plausible smooth scene: ground that recedes towards the top of the picture, with gentle hills.

    Even in inverse depth, as blur is; reaches from `near_metres` to `far_metres`.
    """
    generator = np.random.default_rng(seed)
    hills = zoom(generator.random((5, 6)), (height / 5, width / 6), order=3, mode="nearest", grid_mode=True)
    ground = np.linspace(0, 1, height)[:, None]
    closeness = 0.5 * ground + 0.5 * hills
    closeness = (closeness - closeness.min()) / (closeness.max() - closeness.min())
    return np.asarray(1 / (1 / far_metres + closeness * (1 / near_metres - 1 / far_metres)))


def _metres(path: Path) -> npt.NDArray[Any]:
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return np.asarray(np.load(file, allow_pickle=False))
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            with path.open("rb") as file:
                samples_HW = np.asarray(tifffile.imread(file, key=0))
            return samples_HW / 1000 if samples_HW.dtype.kind == "u" else samples_HW
    except (OSError, ValueError, EOFError, LookupError, RuntimeError, struct.error) as error:
        raise InputError(f"{path}: cannot be read as a depth map ({error}); give a whole file") from None
    samples_HW3 = read_rgb(path)
    if samples_HW3.dtype != np.uint16:
        raise InputError(f"{path}: has 8 bits; depth maps as PNG hold millimetres in 16 bits of grey")
    return samples_HW3[:, :, 0] / 1000


def _last_known(values_HW: Array, known_HW: npt.NDArray[np.bool_]) -> Array:
    """For every pixel the nearest known value at or before it in its row; infinity if there is none."""
    columns = np.where(known_HW, np.arange(values_HW.shape[1]), -1)
    last = np.maximum.accumulate(columns, axis=1)
    values: Array = np.take_along_axis(values_HW, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, values, np.inf)
