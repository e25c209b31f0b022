"""Depth maps: whole, metric, plausible."""

import numpy as np
import pytest

from gkm.data.simulation import depth

HOLE = np.nan


def test_holes_are_filled_from_the_background():
    disparity = np.array(
        [
            [9.0, HOLE, HOLE, 3.0],
            [HOLE, 5.0, HOLE, np.inf],
            [HOLE, HOLE, HOLE, HOLE],
            [HOLE, 1.0, HOLE, 2.0],
        ]
    )
    filled = depth.fill_holes(disparity)
    assert filled[0].tolist() == [9, 3, 3, 3]
    assert filled[1].tolist() == [5, 5, 5, 5]
    assert filled[3].tolist() == [1, 1, 1, 2]
    assert filled[2].tolist() in (filled[1].tolist(), filled[3].tolist())


def test_map_without_any_value_is_refused():
    with pytest.raises(ValueError, match="at least one known value"):
        depth.fill_holes(np.full((2, 2), HOLE))


def test_disparity_becomes_metres():
    metres = depth.from_disparity(
        np.array([[10.0, HOLE, 30.0]]), focal_pixels=1000, baseline_metres=0.2, offset_pixels=10
    )
    assert metres.tolist() == [[10.0, 10.0, 5.0]]


def test_smooth_scene_keeps_its_bounds_and_seed():
    scene = depth.smooth(90, 120, near_metres=1, far_metres=4, seed=3)
    assert scene.shape == (90, 120)
    assert scene.min() == pytest.approx(1)
    assert scene.max() == pytest.approx(4)
    assert np.abs(np.diff(1 / scene, axis=0)).max() < 0.05
    assert scene[:20].mean() > scene[-20:].mean(), "the top of the picture is farther away"
    assert np.array_equal(scene, depth.smooth(90, 120, near_metres=1, far_metres=4, seed=3))
    assert not np.array_equal(scene, depth.smooth(90, 120, near_metres=1, far_metres=4, seed=4))
