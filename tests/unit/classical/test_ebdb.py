"""Edges of known blur: the estimate, its smoothing along edges, and photographs without any."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gkm.classical.around import cell_features, middles
from gkm.classical.ebdb import CAUTION, TYPICAL_ERROR_PIXELS, along_edges, edge_sigmas, features, learned, sigmas
from gkm.classical.edges import SCALES_PIXELS, Edges, consistent_edges
from gkm.classical.regression import LARGEST_SIGMA_PIXELS


def squares(sigma: float) -> np.ndarray:
    """Large bright squares on a dark ground, blurred."""
    image_HW = np.full((160, 200), 0.2, dtype=np.float32)
    image_HW[40:120, 30:90] = 0.7
    image_HW[40:120, 120:180] = 0.5
    image_HW = (image_HW + np.roll(image_HW, (1, 1), (0, 1))) / 2  # edges in the middle of pixels
    return gaussian_filter(image_HW, sigma) if sigma else image_HW


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 3.0, 4.0])
def test_straight_edges_give_their_blur(sigma: float) -> None:
    luminance_HW = squares(sigma)
    edges = consistent_edges(luminance_HW)
    sigmas_N, _ = learned()[0](features(luminance_HW, edges))
    assert len(sigmas_N) > 300
    assert abs(float(np.median(sigmas_N)) - sigma) < 0.5 + 0.1 * sigma
    found_HW, weights_HW = sigmas(luminance_HW)
    sure_HW = weights_HW > np.median(weights_HW[weights_HW > 0])
    assert abs(float(np.median(found_HW[sure_HW])) - sigma) < 0.5 + 0.1 * sigma


def test_every_cell_has_a_sigma_and_those_far_from_edges_count_less() -> None:
    luminance_HW = np.pad(squares(1.0), ((0, 237), (0, 3)), mode="edge")
    _, weights_HW = sigmas(luminance_HW)
    weights_M = weights_HW[middles(luminance_HW.shape)]
    assert len(weights_M) == 50 * 26
    assert weights_M.min() > 0
    assert np.median(weights_M[-10 * 26 :]) < np.median(weights_M[: 20 * 26])


def test_the_less_sure_a_place_is_the_more_its_sigma_is_below_what_the_regression_says() -> None:
    luminance_HW = squares(2.0)
    edges = consistent_edges(luminance_HW)
    at_edges = edge_sigmas(luminance_HW, edges, learned()[0])
    features_hwF = cell_features(edges, *at_edges, luminance_HW.shape)
    at_cells = learned()[1](features_hwF.reshape(-1, features_hwF.shape[-1]))
    found_HW, weights_HW = sigmas(luminance_HW)
    cells = middles(luminance_HW.shape)
    np.testing.assert_allclose(found_HW[cells], np.maximum(at_cells[0] - CAUTION * at_cells[1], 0), atol=1e-5)
    np.testing.assert_allclose(weights_HW[cells] * at_cells[1] ** 2, 64 * TYPICAL_ERROR_PIXELS, rtol=1e-4)
    found_HW[cells], weights_HW[cells] = 0, 0
    alone_N = weights_HW[edges.rows_N, edges.columns_N] > 0  # not in the middle of a cell
    expected_N = np.maximum(at_edges[0] - CAUTION * at_edges[1], 0)
    np.testing.assert_allclose(found_HW[edges.rows_N, edges.columns_N][alone_N], expected_N[alone_N], atol=1e-5)
    assert alone_N.mean() > 0.9
    assert (weights_HW > 0).sum() == alone_N.sum()


def test_the_ratios_of_gradients_are_those_of_a_blurred_step() -> None:
    luminance_HW = squares(2.0)
    found_NF = features(luminance_HW, consistent_edges(luminance_HW))
    for column, sigma in ((1, 1.5), (2, 2.0), (4, 3.0)):
        expected = np.log((2**2 + 1) / (2**2 + sigma**2)) / 2
        assert abs(np.median(found_NF[:, column]) - expected) < 0.05


def test_an_edge_that_ends_at_a_scale_is_known_up_to_there() -> None:
    stripes_HW = np.full((120, 240), 0.3, dtype=np.float32)
    stripes_HW[:, 40] += 0.2
    stripes_HW[:, 41:] += 0.4
    stripes_HW[:, 130:137] = 0.9  # a narrow bar: its two edges push each other away at coarse scales
    edges = consistent_edges(gaussian_filter(stripes_HW, 0.7))
    alone = edges.scales_N[np.abs(edges.columns_N - 40) < 2]
    beside = edges.scales_N[np.abs(edges.columns_N - 133) < 6]
    assert np.median(alone) == len(SCALES_PIXELS) - 1
    assert len(beside) == 0 or np.median(beside) < np.median(alone)


def test_an_outlier_on_an_edge_moves_to_its_neighbours_and_another_edge_stays() -> None:
    rows = np.arange(41)
    edges = Edges(
        np.concatenate([rows, rows]), np.concatenate([np.full(41, 10), np.full(41, 30)]), np.full(82, 3, dtype=np.intp)
    )
    order = np.lexsort((edges.columns_N, edges.rows_N))
    edges = Edges(edges.rows_N[order], edges.columns_N[order], edges.scales_N)
    sigmas_N = np.where(edges.columns_N == 10, 1.0, 2.0).astype(np.float32)
    sigmas_N[(edges.columns_N == 10) & (edges.rows_N == 20)] = 4
    smoothed_N = along_edges(edges, sigmas_N, np.full(82, 3.0))
    assert smoothed_N[edges.columns_N == 10].max() < 1.8
    assert abs(smoothed_N.sum() - sigmas_N.sum()) < 0.05  # equal weights: nothing is lost
    np.testing.assert_allclose(smoothed_N[edges.columns_N == 30], 2, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_photograph_without_edges_tells_nothing(value: float) -> None:
    sigmas_HW, weights_HW = sigmas(np.full((16, 17), value, dtype=np.float32))
    assert not weights_HW.any()
    assert not sigmas_HW.any()


def test_noise_stays_within_what_there_can_be() -> None:
    noise_HW = np.random.default_rng(1).random((50, 60), dtype=np.float32)
    sigmas_HW, weights_HW = sigmas(noise_HW)
    assert weights_HW.min() >= 0
    assert np.isfinite(sigmas_HW).all()
    assert sigmas_HW.min() >= -1e-3
    assert sigmas_HW.max() <= LARGEST_SIGMA_PIXELS
