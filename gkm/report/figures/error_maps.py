"""A photograph blurred, restored and sharp in; small pictures of where the first two differ from the third out."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image

from gkm import metrics
from gkm.evaluation import to_tensor
from gkm.report.evidence import Example, Photo
from gkm.report.figures.pictures import MAP_PIXELS, Picture, embedded

ERROR_LIMIT = 32
"""Mean absolute error of a pixel, in 8-bit grey levels, from which on the map is brightest."""
SSIM_LIMIT = 0.5
"""SSIM of a window from which down the map is brightest."""


def error_maps(example: Example) -> list[tuple[str, Picture]]:
    """Title and picture of each map, two of errors and two of SSIM; the scale of both photographs is the same."""
    sharp = example.sharp_HW3
    photos = (("blurred", example.blurred_HW3), ("restored", example.restored_HW3))
    errors = [(f"Error, {name}", _picture(_error(photo, sharp) / ERROR_LIMIT)) for name, photo in photos]
    if min(sharp.shape[:2]) < metrics.SSIM_WINDOW_PIXELS:
        return errors
    loss = [(f"1 − SSIM, {name}", _picture(_loss_of_ssim(photo, sharp) / (1 - SSIM_LIMIT))) for name, photo in photos]
    return errors + loss


def _error(photo_HW3: Photo, sharp_HW3: Photo) -> npt.NDArray[np.float64]:
    error_HW: npt.NDArray[np.float64] = np.abs(photo_HW3.astype(np.float64) - sharp_HW3).mean(axis=2)
    return error_HW


def _loss_of_ssim(photo_HW3: Photo, sharp_HW3: Photo) -> npt.NDArray[np.float64]:
    return 1 - metrics.ssim_map(to_tensor(photo_HW3)[0], to_tensor(sharp_HW3)[0]).numpy()


def _picture(strength_HW: npt.NDArray[np.float64]) -> Picture:
    """Black at 0, brightest from 1 on."""
    colours_HW4 = mpl.colormaps["inferno"](np.clip(strength_HW, 0, 1), bytes=True)
    image = Image.fromarray(np.ascontiguousarray(colours_HW4[:, :, :3]))
    image.thumbnail((MAP_PIXELS, MAP_PIXELS), Image.Resampling.LANCZOS)
    return embedded(image, "jpeg")
