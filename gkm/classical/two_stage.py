"""A defocused photograph in, the map of its blur and the photograph restored out: what the methods have in common.

First a map of sigma: a method's values where it can tell, propagated to all pixels. Then deconvolution by that map.
Both in linear light, where lenses blur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gkm.classical import ebdb, jnb
from gkm.classical.bank import Deconvolution, deconvolve_by_map
from gkm.classical.propagation import fill
from gkm.light import from_linear, to_linear

Array = npt.NDArray[np.float32]
RECIPE_VERSION = 5
"""Raise it when anything in this folder changes the pixels: scores on record are then computed anew.

Where it is the deconvolution, DMENet's pixels change, too: then raise `gkm.scoring.rows.SCHEMA_VERSION` as well.
"""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Shares of linear red, green and blue (ITU-R BT.709, whose primaries sRGB has)."""
_ROWS_AT_ONCE = 256
"""Of the conversions, which are in 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a map is estimated."""

    key: str
    """What a user writes."""
    label: str
    """Its name in tables."""
    values: Callable[[Array], tuple[Array, Array]]
    """Luminance, [H,W] in linear light -> sigma where it tells it, and its weight (0: nothing told); both [H,W]."""

    @property
    def identity(self) -> str:
        """The same for the same pixels."""
        return f"{self.key}, recipe {RECIPE_VERSION}"


METHODS = {
    method.key: method
    for method in (
        Method(key="ebdb", label="EBDB", values=ebdb.sigmas),
        Method(key="jnb", label="JNB", values=jnb.patch_sigmas),
    )
}
"""By the names that users write."""


def sigma_map(method: Method, blurred_HW3: Array) -> Array:
    """Sigma of the blur at every pixel, [H,W] in pixels, of a photograph in sRGB, [0, 1]; 0 where nothing tells it."""
    return fill(*method.values(luminance(blurred_HW3)))


def luminance(photograph_HW3: Array) -> Array:
    """Linear light, [H,W] in [0, 1], of a photograph in sRGB, [0, 1]."""
    return np.concatenate(
        [to_linear(rows_hW3).astype(np.float32) @ _LUMINANCE for rows_hW3 in _by_rows(photograph_HW3)]
    )


def restore_by_map(blurred_HW3: Array, sigmas_HW: Array, settings: Deconvolution | None = None) -> Array:
    """A photograph in sRGB, [0, 1], deconvolved with the Gaussians of its map, [H,W] in pixels; in [0, 1]."""
    rows = [to_linear(rows_hW3).astype(np.float32).transpose(2, 0, 1) for rows_hW3 in _by_rows(blurred_HW3)]
    restored_3HW = deconvolve_by_map(np.concatenate(rows, axis=1), sigmas_HW, settings or Deconvolution())
    parts = _by_rows(restored_3HW.transpose(1, 2, 0))
    return np.concatenate([from_linear(rows_hW3).astype(np.float32) for rows_hW3 in parts])


def restore(method: Method, blurred_HW3: Array) -> Array:
    """Both stages: a photograph in sRGB, [0, 1], restored by the map that `method` finds; in [0, 1]."""
    return restore_by_map(blurred_HW3, sigma_map(method, blurred_HW3))


def _by_rows(image_HW3: Array) -> Iterator[npt.NDArray[np.float64]]:
    """Some rows after the others, within [0, 1]."""
    for top in range(0, len(image_HW3), _ROWS_AT_ONCE):
        yield np.clip(image_HW3[top : top + _ROWS_AT_ONCE], 0, 1).astype(np.float64, order="C")
