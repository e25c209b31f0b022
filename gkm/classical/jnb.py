"""A photograph's luminance in, how sparse its patches are and so its blur out: after Shi, Xu and Jia, CVPR 2015.

Over a dictionary learned from slightly blurred patches, a sharp patch takes many atoms and a blurred one few. Their
number is the feature; a curve, learned with the dictionary, gives sigma. The dictionary is a basis here, so the fewest
atoms are found by sorting, without a search (docs/classical.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.float32]
PATCH_PIXELS = 8
STEP_PIXELS = 2
"""Between the patches of a photograph."""
TOLERANCE = 0.03
"""Share of a patch's energy that its atoms may leave out."""
NOISE = 0.002
"""What they may leave out in any case, for each pixel: about half a step of 8 bits."""
FAINTEST = 0.04
"""A patch whose deviations from its mean are smaller in all (root of their sum of squares) tells nothing."""
DICTIONARY_SIGMA_PIXELS = 2.0
ATOMS_AT_ONCE, LEARNING_ROUNDS, PATCHES_A_PHOTOGRAPH = 4, 30, 5000
LEARNED = Path(__file__).with_name("jnb.npz")
"""Dictionary and curve, as `python benchmarks/classical.py --learn` writes them."""
SIGMAS_PIXELS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Where the curve is measured."""
_ROWS_AT_ONCE = 64


def sparseness(luminance_HW: Array) -> tuple[Array, Array]:
    """Logarithm of the number of atoms at the middle of each patch that tells something, and 1 there; both [H,W].

    `luminance_HW` is linear light in [0, 1], at least `PATCH_PIXELS` a side.
    """
    return _sparseness(luminance_HW, learned()[0], STEP_PIXELS)


def sigmas(log_counts_HW: Array) -> Array:
    """Sigma in pixels for (mean) logarithms of the number of atoms; 0 where there are none."""
    curve = learned()[1]
    found = np.interp(-log_counts_HW, -curve, SIGMAS_PIXELS)
    return np.where(log_counts_HW > 0, found, 0).astype(np.float32)


@cache
def learned() -> tuple[Array, npt.NDArray[np.float64]]:
    """The dictionary, an atom a column, and the curve at `SIGMAS_PIXELS`."""
    with np.load(LEARNED, allow_pickle=False) as archive:
        return archive["dictionary"], archive["curve"].astype(np.float64)


def learn_dictionary(luminances: Sequence[Array]) -> Array:
    """A basis, an atom a column, in which patches of these photographs, a little blurred, are sparse; [64,64].

    Turn by turn, the few largest coefficients of each patch are kept, and the basis is turned to fit them best
    (orthogonal Procrustes problem). Begins with cosines; the same for the same photographs.
    """
    generator = np.random.default_rng(0)
    chosen = []
    for luminance_HW in luminances:
        patches_NP = _patches(gaussian_filter(luminance_HW, DICTIONARY_SIGMA_PIXELS), 3).reshape(-1, PATCH_PIXELS**2)
        sizes_N1 = np.linalg.norm(patches_NP, axis=1, keepdims=True)
        patches_NP = (patches_NP / np.maximum(sizes_N1, 1e-9))[sizes_N1[:, 0] > FAINTEST]
        chosen.append(patches_NP[generator.permutation(len(patches_NP))[:PATCHES_A_PHOTOGRAPH]])
    patches_NP = np.concatenate(chosen)
    units = np.eye(PATCH_PIXELS**2).reshape(-1, PATCH_PIXELS, PATCH_PIXELS)
    basis_PA = dctn(units, axes=(1, 2), norm="ortho").reshape(PATCH_PIXELS**2, -1).astype(np.float32)
    for _ in range(LEARNING_ROUNDS):
        coefficients_NA = patches_NP @ basis_PA
        sizes_NA = np.abs(coefficients_NA)
        least_N1 = np.partition(sizes_NA, -ATOMS_AT_ONCE, axis=1)[:, -ATOMS_AT_ONCE, None]
        left, _, right = np.linalg.svd(patches_NP.T @ np.where(sizes_NA >= least_N1, coefficients_NA, 0))
        basis_PA = (left @ right).astype(np.float32)
    return np.asarray(basis_PA, dtype=np.float32)


def learn_curve(luminances: Sequence[Array], dictionary_PA: Array) -> npt.NDArray[np.float64]:
    """Mean of the feature over these photographs, blurred by each of `SIGMAS_PIXELS`; never rising."""
    means = []
    for sigma in SIGMAS_PIXELS:
        seen = [gaussian_filter(one, sigma) if sigma else one for one in luminances]
        found = [_sparseness(one, dictionary_PA, 2 * STEP_PIXELS) for one in seen]
        means.append(np.mean([counts[weights > 0].mean() for counts, weights in found]))
    return np.minimum.accumulate(means)


def _sparseness(luminance_HW: Array, dictionary_PA: Array, step: int) -> tuple[Array, Array]:
    counts_HW, weights_HW = np.zeros_like(luminance_HW), np.zeros_like(luminance_HW)
    middle = PATCH_PIXELS // 2
    last = luminance_HW.shape[0] - PATCH_PIXELS
    for top in range(0, last + 1, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, last + 1) + PATCH_PIXELS - 1
        patches_hwP = _patches(luminance_HW[top:bottom], step)
        energies_hwA = np.sort((patches_hwP @ dictionary_PA) ** 2, axis=-1)
        left_out_hwA = np.cumsum(energies_hwA, axis=-1)
        all_hw = left_out_hwA[..., -1]
        allowed_hw = np.maximum(TOLERANCE * all_hw, PATCH_PIXELS**2 * NOISE**2)
        number_hw = PATCH_PIXELS**2 - (left_out_hwA < allowed_hw[..., None]).sum(axis=-1)
        tells_hw = all_hw > FAINTEST**2
        height, width = all_hw.shape
        place = np.s_[top + middle :: step, middle::step]
        counts_HW[place][:height, :width] = np.where(tells_hw, np.log(np.maximum(number_hw, 1)), 0)
        weights_HW[place][:height, :width] = tells_hw
    return counts_HW, weights_HW


def _patches(luminance_HW: Array, step: int) -> Array:
    """Patches without their means, [h,w,64]."""
    windows = sliding_window_view(luminance_HW, (PATCH_PIXELS, PATCH_PIXELS))[::step, ::step]
    patches_hwP = windows.reshape(*windows.shape[:2], PATCH_PIXELS**2)
    return np.asarray(patches_hwP - patches_hwP.mean(axis=-1, keepdims=True), dtype=np.float32)
