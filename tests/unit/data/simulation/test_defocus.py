"""Defocus: what a lens does to a sharp photograph."""

import numpy as np
import pytest

from gkm.data.simulation.defocus import Lens, composite, defocus, spread

LENS = Lens(focal_length_mm=50, f_number=2, focus_metres=2)
SMALL = Lens(focal_length_mm=50, f_number=2, focus_metres=2, sensor_width_mm=4)
"""Cuts 80 pixels from the same picture: blurs by several of them."""


def _photo(height=60, width=80, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype=dtype)


def test_circle_of_confusion_of_a_known_case():
    # 50 mm at f/2 focused at 2 m: a point at 4 m spreads over 25 mm * 50 mm * 2 m / (4 m * 1.95 m) = 0.3205 mm
    radius = LENS.radius_pixels(np.array([4.0, 2.0, 1.0]), width_pixels=3600)
    diameter_mm = 2 * radius / 3600 * 36
    assert diameter_mm == pytest.approx([0.32051, 0, -0.64103], abs=1e-5)


def test_aperture_closed_by_one_stop_halves_the_area():
    wide, closed = (
        Lens(focal_length_mm=50, f_number=number, focus_metres=2).radius_pixels(np.array([5.0]), 1000)
        for number in (2, 2 * 2**0.5)
    )
    assert wide**2 / closed**2 == pytest.approx(2)


@pytest.mark.parametrize("point_spread", ["disk", "gaussian"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_photo_in_focus_is_unchanged(point_spread, dtype):
    photo = _photo(dtype=dtype)
    result = defocus(photo, np.full(photo.shape[:2], 2.0), SMALL, point_spread)
    assert result.dtype == dtype
    assert np.array_equal(result, photo)


@pytest.mark.parametrize("point_spread", ["disk", "gaussian"])
def test_constant_photo_keeps_its_light(point_spread):
    depth = np.random.default_rng(1).uniform(0.8, 8, (60, 80))
    photo = np.full((60, 80, 3), (200, 90, 3), np.uint8)
    assert np.array_equal(defocus(photo, depth, SMALL, point_spread), photo)


def test_focused_part_stays_sharp_beside_a_blurred_one():
    photo = _photo()
    depth = np.where(np.arange(80) < 40, 2.0, 8.0) * np.ones((60, 1))
    result = defocus(photo, depth, SMALL)
    assert np.array_equal(result[:, :40], photo[:, :40]), "blurred background does not spill over what is before it"
    assert result[:, 45:].std() < photo[:, 45:].std() / 2


def _edge(near, far, radius_near, radius_far):
    """A near left half before a far right half; returns the middle row of the first channel, in linear light."""
    left = np.arange(80) < 40
    linear = np.where(left, near, far)[None, :, None] * np.ones((60, 1, 3))
    radius = np.where(left, float(radius_near), float(radius_far)) * np.ones((60, 1))
    return composite(linear, radius, "disk")[30, :, 0]


def test_near_layer_occludes_the_far_one():
    row = _edge(near=1.0, far=0.0, radius_near=0, radius_far=5)
    assert np.allclose(row[:40], 1)
    assert np.allclose(row[40:], 0), "a sharp near object does not bleed into the blurred background"


def test_blurred_near_layer_spills_over_the_far_one():
    row = _edge(near=1.0, far=0.0, radius_near=-5, radius_far=0)
    assert (np.diff(row) <= 1e-9).all()
    assert row[40] == pytest.approx(0.5, abs=0.07)
    assert np.allclose(row[:35], 1)
    assert np.allclose(row[46:], 0)
    # The background shows through the near edge, as far behind it as before it.
    assert row + row[::-1] == pytest.approx(np.ones(80), abs=0.05)


def test_smooth_slope_has_no_seams():
    linear = np.full((60, 80, 3), 0.5)
    linear[:, ::2] = 0.3
    result = composite(linear, np.linspace(-6, 6, 80) * np.ones((60, 1)), "disk")
    assert result.min() >= 0.3 - 1e-9
    assert result.max() <= 0.5 + 1e-9
    blurred = result[:, [*range(12, 24), *range(56, 68)]]
    assert blurred.mean() == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("point_spread", ["disk", "gaussian"])
def test_both_point_spreads_have_the_same_variance(point_spread):
    point = np.zeros((61, 61, 1))
    point[30, 30] = 1
    blurred = spread(point, 6.0, point_spread)[:, :, 0]
    offset = np.arange(61) - 30
    assert blurred.sum() == pytest.approx(1)
    assert (blurred * offset**2).sum() == pytest.approx(9, rel=0.03)


def test_light_mixes_linearly():
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[:, ::2] = 255
    result = defocus(photo, np.full((60, 80), 20.0), SMALL)
    assert result.mean() == pytest.approx(188, abs=2), "half the light of white is 188 in sRGB, not 128"


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="beyond the focal length"):
        Lens(focal_length_mm=50, f_number=2, focus_metres=0.05)
    with pytest.raises(ValueError, match="must be positive"):
        Lens(focal_length_mm=50, f_number=0, focus_metres=2)
    with pytest.raises(ValueError, match="fill holes first"):
        defocus(_photo(), np.full((60, 80), np.nan), LENS)
    with pytest.raises(ValueError, match="depth map of"):
        defocus(_photo(), np.ones((2, 2)), LENS)
