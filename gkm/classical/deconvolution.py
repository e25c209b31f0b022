"""A photograph blurred by a Gaussian in, the photograph without that blur out: deconvolution with a sparse prior.

Minimises lambda/2 |k * x - y|^2 + sum |d x|^alpha over x, with d the differences to the right and below (Krishnan and
Fergus, NIPS 2009), by half-quadratic splitting. Photographs go on beyond their borders as their mirror images: the
discrete cosine transform then diagonalises both the blur and the differences, and borders do not ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

Array = npt.NDArray[np.float32]

_TABLE_LEVELS = 4096
"""Steps of the table of a shrinkage for differences from 0 to 1."""
_SMALLEST_SHARE = 1e-12
"""What a blur leaves of a frequency counts as nothing below: products with it would be denormal, which is slow."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is expected of a sharp photograph, and how much of the blurred one is trusted."""

    exponent: float = 0.8
    """alpha, between 0 and 1."""
    fidelity: float = 500.0
    """lambda: more for less noise."""
    first_beta: float = 4.0
    beta_factor: float = 2 * 2**0.5
    last_beta: float = 256.0
    """Weight of the splitting, from the first to the last in equal ratios: as in the paper."""

    @property
    def betas(self) -> list[float]:
        """The weights of all rounds."""
        found, beta = [], self.first_beta
        while beta < self.last_beta:
            found.append(beta)
            beta *= self.beta_factor
        return found


def deconvolve(blurred_CHW: Array, sigma_pixels: float, prior: Prior) -> Array:
    """`blurred_CHW` without a Gaussian blur of `sigma_pixels`, channel by channel; not clamped.

    Values are about [0, 1]; what lies beyond the border is the mirror image of what lies within.
    """
    height, width = blurred_CHW.shape[-2:]
    blur_HW, roughness_HW = _spectra(height, width, sigma_pixels)
    given_CHW = blur_HW * _transform(blurred_CHW)
    power_HW = blur_HW * blur_HW
    restored_CHW = blurred_CHW
    for beta in prior.betas:
        wanted_CHW = _divergence(
            shrink(np.diff(restored_CHW, axis=-2), beta, prior.exponent),
            shrink(np.diff(restored_CHW, axis=-1), beta, prior.exponent),
        )
        share = np.float32(beta / prior.fidelity)
        spectrum_CHW = (given_CHW + share * _transform(wanted_CHW)) / (power_HW + share * roughness_HW)
        restored_CHW = fft.idctn(spectrum_CHW, axes=(-2, -1), norm="ortho", overwrite_x=True)
    return np.asarray(restored_CHW, dtype=np.float32)


def shrink(differences: Array, beta: float, exponent: float) -> Array:
    """The w that minimises |w|^exponent + beta/2 (w - v)^2 for each v, from a table (their section 2.1)."""
    table = shrinkage_table(beta, exponent)
    sizes = np.abs(differences)
    index = np.minimum(sizes * np.float32(_TABLE_LEVELS), np.float32(_TABLE_LEVELS)).astype(np.int32)
    return np.asarray(np.copysign(np.maximum(sizes - table[index], 0), differences), dtype=np.float32)


@lru_cache(maxsize=64)
def shrinkage_table(beta: float, exponent: float) -> Array:
    """By how much differences of 0 to 1, in equal steps, become smaller.

    Newton's method from the difference itself finds the larger of the two stationary points, which is a minimum; it
    counts where it is below the value at 0.
    """
    v = (np.arange(_TABLE_LEVELS + 1) + 0.5) / _TABLE_LEVELS
    inflection = (exponent * (1 - exponent) / beta) ** (1 / (2 - exponent))
    w = np.maximum(v, inflection)
    for _ in range(30):
        slope = exponent * w ** (exponent - 1) + beta * (w - v)
        bend = exponent * (exponent - 1) * w ** (exponent - 2) + beta
        step = np.divide(slope, bend, out=np.zeros_like(w), where=bend > 1e-9 * beta)
        w = np.maximum(w - step, inflection)
    better = (w**exponent + beta / 2 * (w - v) ** 2 < beta / 2 * v**2) & (w <= v)
    return np.where(better, v - w, v + 1 / _TABLE_LEVELS).astype(np.float32)


def _transform(images_CHW: Array) -> Array:
    return np.asarray(fft.dctn(images_CHW, axes=(-2, -1), norm="ortho"), dtype=np.float32)


def _divergence(down_CHW: Array, right_CHW: Array) -> Array:
    """The transpose of the differences, applied to both."""
    height, width = right_CHW.shape[-2], down_CHW.shape[-1]
    result_CHW = np.zeros((*right_CHW.shape[:-2], height, width), dtype=np.float32)
    result_CHW[..., 1:, :] += down_CHW
    result_CHW[..., :-1, :] -= down_CHW
    result_CHW[..., 1:] += right_CHW
    result_CHW[..., :-1] -= right_CHW
    return result_CHW


@lru_cache(maxsize=64)
def _spectra(height: int, width: int, sigma_pixels: float) -> tuple[Array, Array]:
    """For every frequency what the blur leaves of it, and the squared size of its differences."""
    rows, columns = (np.pi * np.arange(length) / length for length in (height, width))
    blurs = [np.exp(-((sigma_pixels * frequency) ** 2) / 2) for frequency in (rows, columns)]
    blur_HW = np.outer(*blurs)
    blur_HW[blur_HW < _SMALLEST_SHARE] = 0
    blur_HW = blur_HW.astype(np.float32)
    row_roughness, column_roughness = ((2 - 2 * np.cos(f)).astype(np.float32) for f in (rows, columns))
    return blur_HW, row_roughness[:, None] + column_roughness
