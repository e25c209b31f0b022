"""A defocused photograph in, the map of its blur and the photograph restored out: what the methods have in common.

First a map of sigma: a method's values where it can tell, propagated to all pixels. Then deconvolution by that map.
Both in linear light, where lenses blur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gkm.classical import ebdb, jnb, propagation
from gkm.classical.bank import Deconvolution, deconvolve_by_map
from gkm.data.simulation.defocus import from_linear, to_linear

Array = npt.NDArray[np.float32]
RECIPE_VERSION = 1
"""Raise it when anything in this folder changes the pixels: scores on record are then computed anew."""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Shares of linear red, green and blue (ITU-R BT.709, whose primaries sRGB has)."""
_CALMING_PIXELS, _CALMING_RANGE = 7.0, 0.5
_REACH_SHARE, _REACH_RANGE = 1 / 8, 3.75
"""Of the propagation, pixels as a share of the shorter side: those of EBDB's release."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a map is estimated."""

    key: str
    """What a user writes."""
    label: str
    """Its name in tables."""
    values: Callable[[Array], tuple[Array, Array]]
    """Luminance, [H,W] in linear light -> what it tells of the blur, and how sure that is (0: nothing); both [H,W]."""
    sigmas: Callable[[Array], Array] | None = None
    """Such values, propagated to all pixels -> sigma in pixels; None: they are that already."""

    @property
    def identity(self) -> str:
        """The same for the same pixels."""
        return f"{self.key}, recipe {RECIPE_VERSION}"


METHODS = {
    method.key: method
    for method in (
        Method(key="ebdb", label="EBDB", values=ebdb.edge_sigmas),
        Method(key="jnb", label="JNB", values=jnb.sparseness, sigmas=jnb.sigmas),
    )
}
"""By the names that users write."""


def sigma_map(method: Method, blurred_HW3: Array) -> Array:
    """Sigma of the blur at every pixel, [H,W] in pixels, of a photograph in sRGB, [0, 1]; 0 where nothing tells it."""
    blurred_HW3 = np.clip(blurred_HW3, 0, 1, dtype=np.float32)
    values_HW, weights_HW = method.values(luminance(blurred_HW3))
    guide_HW3 = propagation.smooth(
        blurred_HW3, blurred_HW3, reach_pixels=_CALMING_PIXELS, reach_range=_CALMING_RANGE, rounds=3
    )
    reach = min(values_HW.shape) * _REACH_SHARE
    values_HW = propagation.propagate(
        values_HW, weights_HW, guide_HW3, reach_pixels=reach, reach_range=_REACH_RANGE, rounds=3
    )
    return values_HW if method.sigmas is None else method.sigmas(values_HW)


def luminance(photograph_HW3: Array) -> Array:
    """Linear light, [H,W] in [0, 1], of a photograph in sRGB, [0, 1]."""
    return _linear(photograph_HW3) @ _LUMINANCE


def restore_by_map(blurred_HW3: Array, sigmas_HW: Array, settings: Deconvolution | None = None) -> Array:
    """A photograph in sRGB, [0, 1], deconvolved with the Gaussians of its map, [H,W] in pixels; in [0, 1]."""
    linear_3HW = np.ascontiguousarray(_linear(np.clip(blurred_HW3, 0, 1, dtype=np.float32)).transpose(2, 0, 1))
    restored_3HW = deconvolve_by_map(linear_3HW, sigmas_HW, settings or Deconvolution())
    return from_linear(restored_3HW.astype(np.float64)).astype(np.float32).transpose(1, 2, 0)


def restore(method: Method, blurred_HW3: Array) -> Array:
    """Both stages: a photograph in sRGB, [0, 1], restored by the map that `method` finds; in [0, 1]."""
    return restore_by_map(blurred_HW3, sigma_map(method, blurred_HW3))


def _linear(photograph_HW3: Array) -> Array:
    return to_linear(photograph_HW3.astype(np.float64)).astype(np.float32)
