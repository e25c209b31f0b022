"""The prior's shrinkage is the true minimum, and a known Gaussian blur is taken back, borders included."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

from gkm.classical.bank import BANK_PIXELS, Deconvolution, deconvolve_by_map
from gkm.classical.deconvolution import Prior, deconvolve, shrink


def photograph() -> np.ndarray:
    return np.ascontiguousarray((astronaut()[:160, 150:350] / 255).transpose(2, 0, 1), dtype=np.float32)


def blurred(sharp_CHW: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(sharp_CHW, (0, sigma, sigma), mode="reflect")


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))


@pytest.mark.parametrize("exponent", [0.5, 2 / 3, 0.8])
@pytest.mark.parametrize("beta", [4.0, 90.0])
def test_shrinkage_is_the_minimum_that_a_search_finds(exponent: float, beta: float) -> None:
    differences = np.linspace(-1.4, 1.4, 57, dtype=np.float32)
    candidates = np.linspace(-1.5, 1.5, 60_001)

    def cost(w: np.ndarray, v: float) -> np.ndarray:
        return np.abs(w) ** exponent + beta / 2 * (w - v) ** 2

    found = shrink(differences, beta, exponent)
    for v, w in zip(differences, found, strict=True):
        assert cost(w, v) <= cost(candidates, v).min() + 2e-3
    assert (found[np.abs(differences) > 1] != 0).all() or beta < 5


@pytest.mark.parametrize(("sigma", "gain_db"), [(1.0, 2.0), (2.5, 2.0)])
def test_a_known_blur_is_taken_back(sigma: float, gain_db: float) -> None:
    sharp_CHW = photograph()
    seen_CHW = np.round(blurred(sharp_CHW, sigma) * 255).astype(np.float32) / 255
    restored_CHW = deconvolve(seen_CHW, sigma, Prior())
    assert psnr(restored_CHW, sharp_CHW) > psnr(seen_CHW, sharp_CHW) + gain_db


def test_a_border_is_restored_as_if_the_photograph_went_on_as_its_mirror_image() -> None:
    seen_CHW = blurred(photograph(), 2.0)
    larger_CHW = np.pad(seen_CHW, ((0, 0), (40, 40), (40, 40)), mode="symmetric")
    inner_CHW = deconvolve(larger_CHW, 2.0, Prior())[:, 40:-40, 40:-40]
    np.testing.assert_allclose(deconvolve(seen_CHW, 2.0, Prior()), inner_CHW, atol=5e-3)


def test_nothing_is_invented_where_there_is_no_blur_or_no_detail() -> None:
    flat_CHW = np.full((3, 40, 50), 0.4, dtype=np.float32)
    np.testing.assert_allclose(deconvolve(flat_CHW, 3.0, Prior()), flat_CHW, atol=1e-4)
    sharp_CHW = photograph()
    unchanged_CHW = deconvolve_by_map(sharp_CHW, np.zeros(sharp_CHW.shape[1:], np.float32), Deconvolution())
    np.testing.assert_allclose(unchanged_CHW, sharp_CHW, atol=1e-6)


def test_every_pixel_gets_the_two_sigmas_beside_its_own_in_proportion() -> None:
    seen_CHW = blurred(photograph(), 1.5)
    between = (BANK_PIXELS[3] + 3 * BANK_PIXELS[4]) / 4
    sigmas_HW = np.full(seen_CHW.shape[1:], between, dtype=np.float32)
    whole = Deconvolution(tile_pixels=10**6)
    expected = sum(
        share * deconvolve(seen_CHW, sigma, whole.prior)
        for share, sigma in ((0.25, BANK_PIXELS[3]), (0.75, BANK_PIXELS[4]))
    )
    np.testing.assert_allclose(deconvolve_by_map(seen_CHW, sigmas_HW, whole), np.clip(expected, 0, 1), atol=1e-4)


def test_tiles_give_what_the_whole_gives_and_large_sigmas_are_the_largest_of_the_bank() -> None:
    seen_CHW = blurred(photograph(), 1.5)
    sigmas_HW = np.tile(np.linspace(0, 2.5, seen_CHW.shape[2], dtype=np.float32), (seen_CHW.shape[1], 1))
    whole = deconvolve_by_map(seen_CHW, sigmas_HW, Deconvolution(tile_pixels=10**6))
    tiles = deconvolve_by_map(seen_CHW, sigmas_HW, Deconvolution(tile_pixels=64))
    assert np.abs(whole - tiles).mean() < 5e-4
    assert np.abs(whole - tiles).max() < 0.03
    beyond = [deconvolve_by_map(seen_CHW, np.full_like(sigmas_HW, s), Deconvolution()) for s in (BANK_PIXELS[-1], 99)]
    np.testing.assert_array_equal(*beyond)
