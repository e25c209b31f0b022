"""Patches of blurred photographs are sparser, and by how much says how blurred they are."""

from collections.abc import Sequence

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


def left_out(photographs: Sequence[np.ndarray], basis_PA: np.ndarray) -> float:
    """The share of energy of slightly blurred patches that four atoms leave out."""
    kept = whole = 0.0
    for seen_HW in photographs:
        windows = np.lib.stride_tricks.sliding_window_view(gaussian_filter(seen_HW, 2.0), (8, 8))[::5, ::5]
        patches_NP = windows.reshape(-1, 64)
        energies_NA = ((patches_NP - patches_NP.mean(axis=1, keepdims=True)) @ basis_PA) ** 2
        kept += np.sort(energies_NA, axis=1)[:, -4:].sum()
        whole += energies_NA.sum()
    return 1 - kept / whole


def test_more_blur_is_fewer_atoms_at_every_size_and_a_larger_sigma() -> None:
    numbers, found = [], []
    for sigma in (0.0, 1.0, 2.0, 3.0):
        seen_HW = gaussian_filter(cat(), sigma) if sigma else cat()
        numbers.append(jnb.sparseness(seen_HW, jnb.learned()[0]).mean(axis=(0, 1)))
        sigmas_HW, weights_HW = jnb.patch_sigmas(seen_HW)
        found.append(np.average(sigmas_HW, weights=weights_HW))
    for size in range(len(jnb.SHRUNK)):
        assert (np.diff(numbers, axis=0)[:, 5 * size + 1] < 0).all()
    assert found == sorted(found)
    np.testing.assert_allclose(found[1:], [1.0, 2.0, 3.0], atol=0.7)


def test_the_dictionary_is_a_basis_in_which_blurred_patches_are_sparser_than_in_pixels() -> None:
    dictionary_PA, _ = jnb.learned()
    np.testing.assert_allclose(dictionary_PA.T @ dictionary_PA, np.eye(64), atol=1e-5)
    assert left_out([cat()], dictionary_PA) < left_out([cat()], np.eye(64)) / 5


def test_values_stand_at_the_middle_of_their_patches_and_flat_ones_have_none() -> None:
    luminance_HW = np.full((150, 90), 0.4, dtype=np.float32)
    luminance_HW[100:120, 40:60] += np.random.default_rng(0).uniform(-0.2, 0.2, (20, 20)).astype(np.float32)
    sigmas_HW, weights_HW = jnb.patch_sigmas(luminance_HW)
    rows, columns = np.nonzero(weights_HW)
    assert abs(rows.mean() - 109.5) < 1.5
    assert abs(columns.mean() - 49.5) < 1.5
    assert min(rows.min() - 96, 124 - rows.max(), columns.min() - 36, 64 - columns.max()) >= 0
    assert (sigmas_HW[weights_HW == 0] == 0).all()
    assert sigmas_HW[rows, columns].mean() < 1


def test_patches_that_tell_nothing_do_not_count_in_the_means_around_others() -> None:
    luminance_HW = np.full((90, 90), 0.4, dtype=np.float32)
    luminance_HW[40:50, 40:50] += np.random.default_rng(0).uniform(-0.2, 0.2, (10, 10)).astype(np.float32)
    _, _, features_NF = jnb.features(luminance_HW, jnb.learned()[0])
    own_NF, around_NF = features_NF[:, :15], features_NF[:, -15:]
    assert (around_NF.min(axis=0) >= own_NF.min(axis=0) - 1e-3).all()
    assert (around_NF.max(axis=0) <= own_NF.max(axis=0) + 1e-3).all()


@pytest.mark.slow
def test_the_dictionary_does_what_one_learned_anew_from_the_samples_training_photographs_does() -> None:
    """Atoms themselves depend on how a processor rounds; ten rounds instead of thirty leave out 0.3 % more."""
    scenes = [scene for scene in sample.SCENES if scene.split == "train"]
    seen = [luminance((read_rgb(sample.photo_file(scene)) / 255).astype(np.float32)) for scene in scenes]
    anew_PA = jnb.learn_dictionary(seen)
    assert left_out(seen, jnb.learned()[0]) == pytest.approx(left_out(seen, anew_PA), rel=1e-3)
