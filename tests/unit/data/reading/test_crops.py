"""Crops: where they may lie, how they are turned, and that they are drawn fairly."""

import numpy as np
import pytest

from gkm.data.reading.crops import corner, draw, turned


def _drawn(total=2000, flips=True, photos=5, crops_per_photo=2):
    return draw(photos, crops_per_photo, total, flips, np.random.default_rng(0))


def test_every_place_is_possible_and_none_beyond():
    crops = _drawn()
    corners = {corner(crops, index, 34, 40, 32) for index in range(len(crops))}
    assert corners == {(top, left) for top in range(3) for left in range(9)}
    assert {corner(crops, index, 32, 32, 32) for index in range(len(crops))} == {(0, 0)}


def test_photos_come_first_as_often_as_asked_then_at_random():
    crops = _drawn()
    assert np.bincount(crops.photo[:10]).tolist() == [2] * 5
    assert np.bincount(crops.photo[10:]).min() > 300


def test_eight_ways_to_turn_a_crop_or_one():
    crop = np.arange(3 * 4 * 4).reshape(3, 4, 4)
    crops = _drawn()
    ways = [turned(crop, crops, index) for index in range(len(crops))]
    assert len({way.tobytes() for way in ways}) == 8
    assert all(way.base is not None for way in ways), "views"
    for way in ways[:50]:
        assert np.array_equal(way[0] + 16, way[1]), "colours stay where they are"
    plain = _drawn(flips=False)
    assert {turned(crop, plain, index).tobytes() for index in range(100)} == {crop.tobytes()}


@pytest.mark.parametrize("field", ["photo", "row", "column", "noise_seed"])
def test_flips_leave_the_other_draws_alone(field):
    assert np.array_equal(getattr(_drawn(flips=True), field), getattr(_drawn(flips=False), field))
