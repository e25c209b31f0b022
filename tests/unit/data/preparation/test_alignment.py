"""Whether two photographs are partners."""

import numpy as np
import pytest

from gkm.data.preparation import alignment


def fit(blurred_HW3, sharp_HW3):
    return alignment.fit(alignment.shrunk(blurred_HW3), alignment.shrunk(sharp_HW3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_partners_fit(scene_photos, dtype):
    found = fit(*scene_photos(0, dtype=dtype))
    assert found.doubts() == ()
    assert found.likeness > 0.99
    assert found.brightness == pytest.approx(1, abs=0.01)
    assert found.sharpness < 0.9


def test_real_partners_fit_and_strangers_do_not(shared_data):
    from gkm.data.finding.layouts import find_pairs
    from gkm.data.photos import read_rgb

    pairs = find_pairs(shared_data / "dpd_sample").pairs
    photos = [(read_rgb(pair.blurred), read_rgb(pair.sharp)) for pair in pairs]
    assert [fit(*both).doubts() for both in photos] == [()] * 10
    for one, other in zip(photos, photos[1:] + photos[:1], strict=True):
        assert "they show different things" in fit(one[0], other[1]).doubts()[0]


@pytest.mark.parametrize(("down", "right"), [(6, 0), (0, -9), (10, 12)])
def test_shift_is_measured_and_named(scene_photos, down, right):
    blurred, sharp = scene_photos(0, 240, 320)
    found = fit(np.roll(blurred, (down, right), (0, 1)), sharp)
    assert (found.down_pixels, found.right_pixels) == pytest.approx((down, right), abs=1)
    assert found.doubts() == (f"shifted by {found.right_pixels:+.0f}, {found.down_pixels:+.0f} pixels",)


def test_shift_is_in_pixels_of_the_whole_photograph(scene_photos):
    blurred, sharp = (np.kron(photo, np.ones((8, 8, 1), np.uint8)) for photo in scene_photos(0, 120, 160))
    assert fit(np.roll(blurred, 24, 0), sharp).down_pixels == pytest.approx(24, abs=3)


def test_other_faults_are_named(scene_photos):
    blurred, sharp = scene_photos(0)
    assert fit(sharp, blurred).doubts()[0].startswith("the blurred one is the sharper")
    assert fit((blurred * 0.6).astype(np.uint8), sharp).doubts() == ("brightness differs (0.60 of the sharp one)",)


@pytest.mark.parametrize("value", [0, 255])
def test_plain_surfaces_are_no_matter(value):
    plain = np.full((16, 20, 3), value, np.uint8)
    assert fit(plain, plain).doubts() == ()


@pytest.mark.parametrize("size", [(1, 1), (16, 20), (641, 20), (20, 1500), (700, 1300)])
def test_shrinking_is_the_mean_of_squares(size):
    photo = np.random.default_rng(0).integers(0, 65536, (*size, 3), dtype=np.uint16)
    small = alignment.shrunk(photo)
    assert max(small.grey_HW.shape) <= alignment.LARGEST_SIDE
    corner = photo[: small.step, : small.step].mean(axis=(0, 1)) @ (0.299, 0.587, 0.114) / 65535
    assert small.grey_HW[0, 0] == pytest.approx(corner, rel=1e-5)
