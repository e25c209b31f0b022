"""Values spread over surfaces and stop at edges."""

import numpy as np

from gkm.classical.propagation import propagate, smooth


def two_halves(height: int = 40, width: int = 60) -> np.ndarray:
    guide_HW3 = np.zeros((height, width, 3), dtype=np.float32)
    guide_HW3[:, width // 2 :] = 1
    return guide_HW3


def test_few_values_fill_their_own_side_of_an_edge() -> None:
    values_HW, weights_HW = np.zeros((2, 40, 60), dtype=np.float32)
    for row, column, value in ((20, 10, 1.0), (5, 25, 1.2), (30, 40, 3.0)):
        values_HW[row, column], weights_HW[row, column] = value, 1
    full_HW = propagate(values_HW, weights_HW, two_halves(), reach_pixels=20, reach_range=0.5)
    assert full_HW[:, :28].max() < 1.25
    assert full_HW[:, :28].min() > 0.95
    assert full_HW[:, 32:].min() > 2.8


def test_a_value_counts_as_much_as_its_weight_says_and_nothing_known_is_zero() -> None:
    values_HW, weights_HW = np.zeros((2, 30, 30), dtype=np.float32)
    guide_HW3 = np.zeros((30, 30, 3), dtype=np.float32)
    assert (propagate(values_HW, weights_HW, guide_HW3, reach_pixels=9, reach_range=1) == 0).all()
    values_HW[15, 10], values_HW[15, 20], weights_HW[15, 10], weights_HW[15, 20] = 1, 4, 3, 1
    full_HW = propagate(values_HW, weights_HW, guide_HW3, reach_pixels=500, reach_range=1)
    np.testing.assert_allclose(full_HW, 1.75, atol=0.05)


def test_where_the_guide_is_flat_smoothing_has_the_deviation_that_was_asked_for_and_keeps_the_sum() -> None:
    point_HW1 = np.zeros((121, 121, 1), dtype=np.float32)
    point_HW1[60, 60] = 1
    spread_HW = smooth(point_HW1, np.zeros((121, 121, 3), np.float32), reach_pixels=8, reach_range=1)[..., 0]
    places = np.arange(121) - 60
    assert abs(spread_HW.sum() - 1) < 0.02
    for axis in (0, 1):
        deviation = np.sqrt((spread_HW.sum(axis=1 - axis) * places**2).sum() / spread_HW.sum())
        assert abs(deviation / 8 - 1) < 0.1
