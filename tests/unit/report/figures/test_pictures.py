"""Pictures embedded in the page, and which detail of them is enlarged."""

import base64
import io

import numpy as np
from PIL import Image

from gkm.report import Example
from gkm.report.figures.pictures import Detail, Picture, coefficient_map, cutout, most_blurred_detail, overview


def _decoded(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def test_overviews_are_small_and_keep_their_proportions() -> None:
    picture = overview(np.zeros((1120, 1680, 3), np.uint8))
    assert picture.uri.startswith("data:image/jpeg;base64,")
    assert (picture.width, picture.height) == _decoded(picture).size == (760, 507)


def test_small_photographs_are_not_enlarged() -> None:
    assert overview(np.zeros((40, 30, 3), np.uint8)).width == 30


def test_details_are_exact() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = cutout(photo, Detail(left=5, top=7, width=20, height=15))
    assert np.array_equal(np.asarray(_decoded(picture)), photo[7:22, 5:25])


def test_the_detail_is_where_the_blurred_photograph_is_worst_whatever_the_result() -> None:
    sharp = np.full((400, 600, 3), 128, np.uint8)
    blurred = sharp.copy()
    blurred[300:320, 500:520] = 0
    for restored in (sharp, np.zeros_like(sharp)):
        example = Example(scene="a", name="a", blurred_HW3=blurred, restored_HW3=restored, sharp_HW3=sharp)
        detail = most_blurred_detail(example)
        assert (detail.width, detail.height) == (150, 100)
        assert detail.left <= 500
        assert detail.left + detail.width >= 520
        assert detail.top <= 300
        assert detail.top + detail.height >= 320


def test_tiny_photographs_are_their_own_detail() -> None:
    photo = np.zeros((16, 20, 3), np.uint8)
    example = Example(scene="a", name="a", blurred_HW3=photo, restored_HW3=photo, sharp_HW3=photo)
    assert most_blurred_detail(example) == Detail(left=0, top=0, width=20, height=16)


def test_coefficients_are_purple_above_zero_and_orange_below() -> None:
    values = np.zeros((40, 60))
    values[:, :20], values[:, 40:] = 0.3, -0.3
    picture = np.asarray(_decoded(coefficient_map(values, 0.2)).convert("RGB")).astype(int)
    (above, nothing, below) = (picture[20, column] for column in (8, 30, 52))
    assert above[2] > above[0] > above[1]
    assert below[0] > below[1] > below[2]
    assert np.ptp(nothing) < 12
    assert nothing.min() > 235
