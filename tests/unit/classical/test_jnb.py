"""Patches of blurred photographs are sparser, and by how much says how blurred they are."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.data import chelsea

from gkm.classical import jnb, luminance
from gkm.data.photos import read_rgb
from gkm.data.simulation import sample


def cat() -> np.ndarray:
    """A photograph that nothing was learned from."""
    return luminance((chelsea()[60:260, 100:340] / 255).astype(np.float32))


def test_more_blur_is_fewer_atoms_and_sigma_is_found_again() -> None:
    found = []
    for sigma in (0.0, 1.0, 2.0, 3.0):
        counts_HW, weights_HW = jnb.sparseness(gaussian_filter(cat(), sigma) if sigma else cat())
        mean = counts_HW[weights_HW > 0].mean()
        found.append(float(jnb.sigmas(np.full((1, 1), mean))[0, 0]))
    assert found == sorted(found)
    np.testing.assert_allclose(found[1:], [1.0, 2.0, 3.0], atol=0.6)


def test_the_dictionary_is_a_basis_in_which_blurred_patches_are_sparser_than_in_pixels() -> None:
    dictionary_PA, curve = jnb.learned()
    np.testing.assert_allclose(dictionary_PA.T @ dictionary_PA, np.eye(64), atol=1e-5)
    assert (np.diff(curve) <= 0).all()
    assert len(curve) == len(jnb.SIGMAS_PIXELS)
    windows = np.lib.stride_tricks.sliding_window_view(gaussian_filter(cat(), 2.0), (8, 8))[::5, ::5].reshape(-1, 64)
    patches_NP = windows - windows.mean(axis=1, keepdims=True)
    left_out = [
        1 - np.sort(codes**2, axis=1)[:, -4:].sum() / (codes**2).sum()
        for codes in (patches_NP @ dictionary_PA, patches_NP)
    ]
    assert left_out[0] < left_out[1] / 5


def test_values_stand_at_the_middle_of_their_patches_and_flat_ones_have_none() -> None:
    luminance_HW = np.full((150, 40), 0.4, dtype=np.float32)
    luminance_HW[100:120, 10:30] += np.random.default_rng(0).uniform(-0.2, 0.2, (20, 20)).astype(np.float32)
    counts_HW, weights_HW = jnb.sparseness(luminance_HW)
    rows, columns = np.nonzero(weights_HW)
    assert abs(rows.mean() - 109.5) < 1
    assert abs(columns.mean() - 19.5) < 1
    assert min(rows.min() - 96, 124 - rows.max(), columns.min() - 6, 34 - columns.max()) >= 0
    assert (counts_HW[weights_HW == 0] == 0).all()
    assert counts_HW[110, 20] > np.log(10)
    assert jnb.sigmas(np.zeros((2, 3), dtype=np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.slow
def test_what_the_package_ships_is_what_is_learned_from_the_samples_training_photographs() -> None:
    scenes = [scene for scene in sample.SCENES if scene.split == "train"]
    seen = [luminance((read_rgb(sample.photo_file(scene)) / 255).astype(np.float32)) for scene in scenes]
    dictionary_PA = jnb.learn_dictionary(seen)
    np.testing.assert_allclose(jnb.learn_curve(seen, dictionary_PA), jnb.learned()[1], atol=0.02)
