"""Photographs in, small pictures as data URIs out, with an enlarged detail chosen without looking at the result."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image

from gkm.report.evidence import Example, Photo

WHOLE_PIXELS = 1680
"""Longest side of a photograph to look into: that of the test photographs of the DPD data set."""
OVERVIEW_PIXELS = 760
"""Longest side of an overview: twice what three abreast take on a wide page."""
MAP_PIXELS = 380
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """An embedded picture and its size."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Detail:
    """A part of a photograph, in pixels, of the photograph's own proportions."""

    left: int
    top: int
    width: int
    height: int


def overview(photo_HW3: Photo) -> Picture:
    """The whole photograph as a JPEG, made smaller where it is large."""
    image = Image.fromarray(photo_HW3)
    image.thumbnail((OVERVIEW_PIXELS, OVERVIEW_PIXELS), Image.Resampling.LANCZOS)
    return embedded(image, "jpeg")


def whole(photo_HW3: Photo) -> Picture:
    """The photograph as a JPEG in which details can be looked at; made smaller only where it is very large."""
    image = Image.fromarray(photo_HW3)
    image.thumbnail((WHOLE_PIXELS, WHOLE_PIXELS), Image.Resampling.LANCZOS)
    return embedded(image, "jpeg")


def cutout(photo_HW3: Photo, detail: Detail) -> Picture:
    """The detail, pixel by pixel, as a PNG."""
    window = photo_HW3[detail.top : detail.top + detail.height, detail.left : detail.left + detail.width]
    return embedded(Image.fromarray(np.ascontiguousarray(window)), "png")


def coefficient_map(map_HW: npt.NDArray[Any], limit: float) -> Picture:
    """A coefficient map in purple where it is positive and orange where it is negative; fully so from `limit` on."""
    colours_HW4 = mpl.colormaps["PuOr"]((np.clip(map_HW / limit, -1, 1) + 1) / 2, bytes=True)
    image = Image.fromarray(np.ascontiguousarray(colours_HW4[:, :, :3]))
    image.thumbnail((MAP_PIXELS, MAP_PIXELS), Image.Resampling.LANCZOS)
    return embedded(image, "jpeg")


def most_blurred_detail(example: Example) -> Detail:
    """The part, a quarter wide and high, in which the blurred photograph differs most from the sharp one.

    Measured by the mean squared error. The restored photograph has no say in it, so the choice cannot flatter the
    model.
    """
    error_HW = np.square(example.blurred_HW3.astype(np.float64) - example.sharp_HW3).mean(axis=2)
    share = min(1.0, max(0.25, 48 / min(error_HW.shape)))
    height, width = (max(1, round(side * share)) for side in error_HW.shape)
    sums = np.pad(error_HW, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return Detail(int(left), int(top), width, height)


def embedded(image: Image.Image, kind: Literal["jpeg", "png"]) -> Picture:
    """An image as a data URI."""
    data = io.BytesIO()
    if kind == "jpeg":
        image.save(data, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    else:
        image.save(data, "PNG", optimize=True)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind};base64,{text}", image.width, image.height)
