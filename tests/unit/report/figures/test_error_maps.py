"""Maps of errors: dark where photographs agree, of one scale for both, without SSIM where there is no window."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from gkm.report import Example
from gkm.report.figures.error_maps import error_maps
from gkm.report.figures.pictures import Picture


def _example(height: int = 64, width: int = 96) -> Example:
    sharp = np.random.default_rng(0).integers(60, 200, (height, width, 3), dtype=np.uint8)
    blurred, restored = sharp.copy(), sharp.copy()
    blurred[:, width // 2 :] += 40
    restored[:, width // 2 :] += 10
    return Example(scene="a", name="a", blurred_HW3=blurred, restored_HW3=restored, sharp_HW3=sharp)


def _pixels(picture: Picture) -> npt.NDArray[Any]:
    data = base64.b64decode(picture.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)


def test_a_map_is_dark_where_nothing_is_wrong_and_brighter_the_more_is() -> None:
    maps = dict(error_maps(_example()))
    assert list(maps) == ["Error, blurred", "Error, restored", "1 − SSIM, blurred", "1 − SSIM, restored"]
    blurred, restored = (_pixels(maps[f"Error, {name}"]) for name in ("blurred", "restored"))
    assert blurred[:, :40].max() < 12
    assert blurred[:, 56:].min() > 200
    assert 30 < restored[:, 56:].mean() < 100
    assert _pixels(maps["1 − SSIM, restored"])[:, :30].max() < 12


def test_a_photograph_smaller_than_a_window_has_no_map_of_ssim() -> None:
    assert [title for title, _ in error_maps(_example(8, 12))] == ["Error, blurred", "Error, restored"]
