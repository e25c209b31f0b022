"""A photograph's luminance in, how sparse its patches are and so its blur out: after Shi, Xu and Jia, CVPR 2015.

Over a dictionary learned from slightly blurred patches, a sharp patch takes many atoms and a blurred one few. Their
number is the feature. The dictionary is a basis here, so the fewest atoms are found by sorting, without a search. The
numbers for several shares of a patch's energy, in the photograph, its half and its quarter size, and the contrast of
the patches give sigma by a regression (docs/classical.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, uniform_filter

from gkm.classical.regression import Regression, load

Array = npt.NDArray[np.float32]
PATCH_PIXELS = 8
STEP_PIXELS = 3
"""Between the patches of a photograph; those of its smaller versions have the same middles."""
SHRUNK = (1, 2, 4)
TOLERANCES = (0.003, 0.01, 0.03, 0.1)
"""Shares of a patch's energy that its atoms may leave out."""
AROUND_PATCHES = (5, 15)
"""Patches a side over which features are averaged, too."""
NOISE = 0.002
"""What they may leave out in any case, for each pixel: about half a step of 8 bits."""
FAINTEST = 0.02
"""A patch whose deviations from its mean are smaller in all (root of their sum of squares) tells nothing."""
LEAST_TO_LEARN = 0.04
"""The same for the patches that the dictionary is learned from."""
DICTIONARY_SIGMA_PIXELS = 2.0
ATOMS_AT_ONCE, LEARNING_ROUNDS, PATCHES_A_PHOTOGRAPH = 4, 30, 5000
LEARNED = Path(__file__).with_name("jnb.npz")
"""Dictionary and regression, as `python benchmarks/classical.py --learn` writes them."""
_ROWS_AT_ONCE = 16
_FAINT = 1e-3


def patch_sigmas(luminance_HW: Array) -> tuple[Array, Array]:
    """Sigma in pixels at the middle of each patch that tells something, and a weight; both [H,W], 0 elsewhere.

    The weight is the area that a patch stands for over its expected error. `luminance_HW` is linear light in [0, 1].
    """
    dictionary_PA, regression = learned()
    sigmas_HW, weights_HW = np.zeros_like(luminance_HW), np.zeros_like(luminance_HW)
    rows_N, columns_N, features_NF = features(luminance_HW, dictionary_PA)
    sigmas_N, errors_N = regression(features_NF)
    sigmas_HW[rows_N, columns_N], weights_HW[rows_N, columns_N] = sigmas_N, STEP_PIXELS**2 / errors_N
    return sigmas_HW, weights_HW


def features(luminance_HW: Array, dictionary_PA: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Row and column of the middle of the patches that tell something, and what they tell, [N,F].

    For each of `SHRUNK` the logarithms of the number of atoms for `TOLERANCES` and of the contrast; then the means of
    all these over the patches around that tell something, for each of `AROUND_PATCHES`.
    """
    own_hwF = sparseness(luminance_HW, dictionary_PA)
    tells_hw = own_hwF[..., len(TOLERANCES)] > np.log(FAINTEST + _FAINT)
    rows_N, columns_N = np.nonzero(tells_hw)
    found = [own_hwF[tells_hw]]
    known_hwF = own_hwF * tells_hw[..., None]
    for around in AROUND_PATCHES:
        share_N1 = uniform_filter(tells_hw.astype(np.float32), around)[tells_hw, None]
        means_hwF = uniform_filter(known_hwF, around, axes=(0, 1))
        found.append(means_hwF[tells_hw] / np.maximum(share_N1, _FAINT))
    return (
        rows_N * STEP_PIXELS + STEP_PIXELS // 2,
        columns_N * STEP_PIXELS + STEP_PIXELS // 2,
        np.concatenate(found, axis=1),
    )


def sparseness(luminance_HW: Array, dictionary_PA: Array) -> Array:
    """The patches' own features, [h,w,15], every `STEP_PIXELS` from `STEP_PIXELS` // 2 on."""
    images = [_shrunk(luminance_HW, factor) for factor in SHRUNK]
    rows_h, columns_w = (np.arange(STEP_PIXELS // 2, length, STEP_PIXELS) for length in luminance_HW.shape)
    found = []
    for at in range(0, len(rows_h), _ROWS_AT_ONCE):
        counts = [
            _counts(image, rows_h[at : at + _ROWS_AT_ONCE] / factor, columns_w / factor, dictionary_PA)
            for image, factor in zip(images, SHRUNK, strict=True)
        ]
        found.append(np.concatenate(counts, axis=-1))
    return np.concatenate(found)


@cache
def learned() -> tuple[Array, Regression]:
    """The dictionary, an atom a column, and the regression from the features to sigma."""
    with np.load(LEARNED, allow_pickle=False) as archive:
        return archive["dictionary"], load(LEARNED)


def learn_dictionary(luminances: Sequence[Array]) -> Array:
    """A basis, an atom a column, in which patches of these photographs, a little blurred, are sparse; [64,64].

    Turn by turn, the few largest coefficients of each patch are kept, and the basis is turned to fit them best
    (orthogonal Procrustes problem). Begins with cosines; the same for the same photographs.
    """
    generator = np.random.default_rng(0)
    chosen = []
    for luminance_HW in luminances:
        blurred_HW = gaussian_filter(luminance_HW, DICTIONARY_SIGMA_PIXELS)
        windows = sliding_window_view(blurred_HW, (PATCH_PIXELS, PATCH_PIXELS))[::3, ::3]
        patches_NP = _without_means(windows).reshape(-1, PATCH_PIXELS**2)
        sizes_N1 = np.linalg.norm(patches_NP, axis=1, keepdims=True)
        patches_NP = (patches_NP / np.maximum(sizes_N1, 1e-9))[sizes_N1[:, 0] > LEAST_TO_LEARN]
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


def _counts(
    image_HW: Array, rows_h: npt.NDArray[np.float64], columns_w: npt.NDArray[np.float64], dictionary_PA: Array
) -> Array:
    """Of the patches around these places, [h,w,5]; patches at the border are moved inwards."""
    tops, lefts = (
        np.clip(places.astype(np.intp) - PATCH_PIXELS // 2, 0, length - PATCH_PIXELS)
        for places, length in zip((rows_h, columns_w), image_HW.shape, strict=True)
    )
    windows = sliding_window_view(image_HW, (PATCH_PIXELS, PATCH_PIXELS))[tops][:, lefts]
    energies_hwA = np.sort((_without_means(windows) @ dictionary_PA) ** 2, axis=-1)
    left_out_hwA = np.cumsum(energies_hwA, axis=-1)
    all_hw1 = left_out_hwA[..., -1:]
    found = []
    for tolerance in TOLERANCES:
        allowed_hw1 = np.maximum(tolerance * all_hw1, PATCH_PIXELS**2 * NOISE**2)
        found.append(np.log(np.maximum(PATCH_PIXELS**2 - (left_out_hwA < allowed_hw1).sum(axis=-1), 1)))
    contrasts_hw = np.log(np.sqrt(all_hw1[..., 0]) + _FAINT)
    return np.stack([*found, contrasts_hw], axis=-1).astype(np.float32)


def _shrunk(image_HW: Array, factor: int) -> Array:
    """Means over squares of `factor` pixels a side, continued as its mirror image where it would not hold a patch."""
    height, width = (length // factor for length in image_HW.shape)
    if factor > 1:
        whole = image_HW[: height * factor, : width * factor]
        image_HW = whole.reshape(height, factor, width, factor).mean(axis=(1, 3))
    missing = [(0, max(PATCH_PIXELS - length, 0)) for length in image_HW.shape]
    return np.pad(image_HW, missing, mode="symmetric") if np.any(missing) else image_HW


def _without_means(windows: Array) -> Array:
    """Patches as rows, [h,w,64]."""
    patches_hwP = windows.reshape(*windows.shape[:2], PATCH_PIXELS**2)
    return np.asarray(patches_hwP - patches_hwP.mean(axis=-1, keepdims=True), dtype=np.float32)
