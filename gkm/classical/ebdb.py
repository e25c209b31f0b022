"""A photograph's luminance in, the blur at its edges out: Karaali and Jung, TIP 2018.

A step edge, blurred by sigma and then by s, has a gradient in proportion to 1 / sqrt(sigma^2 + s^2). So the ratio of
the gradients after two blurs gives sigma (Zhuo and Sim, Pattern Recognition 2011). Here the second blur is chosen for
each edge by the scale up to which it is an edge, so that neighbouring edges do not interfere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.sparse.linalg import cg

from gkm.classical.edges import SCALES_PIXELS, Edges, consistent_edges

Array = npt.NDArray[np.float32]
FIRST_REBLUR_PIXELS = 1.0
REBLUR_SHARE = 0.5
"""The second blur is this share of the edge's scale."""
LARGEST_SIGMA_PIXELS = 5.0
SMOOTHNESS = 20.0
"""Weight of the difference of neighbours along an edge, beside 1 + scales for an edge pixel's own value."""


def edge_sigmas(luminance_HW: Array) -> tuple[Array, Array]:
    """Sigma in pixels at edges, and how sure it is: 1 at edges, 0 elsewhere; both [H,W].

    `luminance_HW` is linear light in [0, 1].
    """
    edges = consistent_edges(luminance_HW)
    sigmas_HW, weights_HW = np.zeros_like(luminance_HW), np.zeros_like(luminance_HW)
    if len(edges.rows_N):
        sigmas_HW[edges.rows_N, edges.columns_N] = along_edges(edges, raw_sigmas(luminance_HW, edges))
        weights_HW[edges.rows_N, edges.columns_N] = 1
    return sigmas_HW, weights_HW


def raw_sigmas(luminance_HW: Array, edges: Edges) -> Array:
    """Sigma of every edge pixel by itself, [N], from 0 to `LARGEST_SIGMA_PIXELS`."""
    first_N = _gradients(luminance_HW, FIRST_REBLUR_PIXELS)[edges.rows_N, edges.columns_N]
    squared_N = np.zeros(len(edges.rows_N))
    for scale in np.unique(edges.scales_N):
        second_pixels = REBLUR_SHARE * SCALES_PIXELS[scale]
        of_N = edges.scales_N == scale
        second = _gradients(luminance_HW, second_pixels)[edges.rows_N[of_N], edges.columns_N[of_N]]
        ratio = (first_N[of_N] / np.maximum(second, 1e-12)).astype(np.float64) ** 2
        # ratio = (sigma^2 + second^2) / (sigma^2 + first^2): from 1 (no end of blur) to second^2 / first^2
        excess = second_pixels**2 - ratio * FIRST_REBLUR_PIXELS**2
        squared_N[of_N] = np.where(ratio > 1, excess / np.maximum(ratio - 1, 1e-9), np.inf)
    return np.sqrt(np.clip(squared_N, 0, LARGEST_SIGMA_PIXELS**2)).astype(np.float32)


def along_edges(edges: Edges, sigmas_N: Array) -> Array:
    """Sigmas smoothed along connected edges, [N]: the connected edge filter."""
    own_N = 2.0 + edges.scales_N
    graph = _neighbours(edges)
    laplacian = sparse.diags_array(np.asarray(graph.sum(axis=1)).ravel()) - graph
    system = sparse.diags_array(own_N) + SMOOTHNESS * laplacian
    smoothed_N, _ = cg(system, own_N * sigmas_N, x0=sigmas_N.astype(float), rtol=1e-4, maxiter=200)
    return np.asarray(smoothed_N, dtype=np.float32)


def _neighbours(edges: Edges) -> sparse.csr_array:
    """Which edge pixels touch, [N,N]: 1 for any of the eight neighbours."""
    count = len(edges.rows_N)
    height, width = edges.rows_N.max() + 2, edges.columns_N.max() + 3
    number_HW = np.full((height, width), -1, dtype=np.intp)
    number_HW[edges.rows_N, edges.columns_N + 1] = np.arange(count)
    pairs = []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other_N = number_HW[edges.rows_N + down, edges.columns_N + 1 + right]
        first = np.flatnonzero(other_N >= 0)
        pairs.append(np.stack([first, other_N[first]]))
    first, second = np.concatenate(pairs, axis=1)
    ones = np.ones(2 * len(first))
    places = (np.concatenate([first, second]), np.concatenate([second, first]))
    return sparse.csr_array((ones, places), shape=(count, count))


def _gradients(luminance_HW: Array, sigma_pixels: float) -> Array:
    return np.asarray(gaussian_gradient_magnitude(luminance_HW, sigma_pixels, mode="reflect"))
