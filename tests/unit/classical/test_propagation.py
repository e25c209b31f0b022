"""Values are spread over a photograph: slopes stay, steps stay, outliers do not count."""

import numpy as np
import pytest

from gkm.classical.propagation import fill


def scattered(true_HW: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A map at some of its pixels: values and weights."""
    known_HW = np.random.default_rng(seed).random(true_HW.shape) < share
    return np.where(known_HW, true_HW, 0).astype(np.float32), known_HW.astype(np.float32)


def test_a_slope_and_a_step_are_filled_in() -> None:
    rows, columns = np.mgrid[:160, :200]
    for true_HW in (rows / 160 * 3, np.where(columns < 100, 0.5, 4.0)):
        values_HW, weights_HW = scattered(true_HW, 0.1)
        wrong_HW = np.abs(fill(values_HW, 3 * 10 * weights_HW) - true_HW)
        assert wrong_HW.mean() < 0.12
        assert np.median(wrong_HW) < 0.1


def test_outliers_and_what_is_unsure_count_little() -> None:
    true_HW = np.full((120, 120), 1.0)
    values_HW, weights_HW = scattered(true_HW, 0.2)
    outliers_HW, there_HW = scattered(np.full((120, 120), 5.0), 0.002, seed=1)
    values_HW, weights_HW = np.where(there_HW > 0, outliers_HW, values_HW), np.maximum(weights_HW, there_HW)
    assert np.abs(fill(values_HW, 5 * weights_HW) - 1).max() < 0.5
    halves_HW = np.where(np.arange(120) % 2, 1.0, 3.0) * np.ones((120, 1))
    unsure_HW = np.where(np.arange(120) % 2, 1.0, 0.01) * np.ones((120, 1))
    filled_HW = fill(halves_HW.astype(np.float32), unsure_HW.astype(np.float32))
    assert np.abs(filled_HW - 1).max() < 0.1


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (37, 5)])
def test_any_size_is_filled_and_nothing_known_is_zero(size: tuple[int, int]) -> None:
    ones_HW = np.ones(size, dtype=np.float32)
    filled_HW = fill(2 * ones_HW, ones_HW)
    assert filled_HW.dtype == np.float32
    np.testing.assert_allclose(filled_HW, 2, atol=1e-3)
    assert (fill(ones_HW, 0 * ones_HW) == 0).all()


def test_larger_cells_of_large_photographs_keep_a_slope() -> None:
    true_HW = np.tile(np.linspace(0, 4, 2000, dtype=np.float32), (1000, 1))
    filled_HW = fill(true_HW, np.ones_like(true_HW))
    assert np.abs(filled_HW - true_HW).mean() < 0.05
