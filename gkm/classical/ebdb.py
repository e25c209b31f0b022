"""A photograph's luminance in, the blur at its edges out: after Karaali and Jung, TIP 2018.

A step edge, blurred by sigma and then by s, has a gradient in proportion to 1 / sqrt(sigma^2 + s^2). So the ratio of
the gradients after two blurs gives sigma (Zhuo and Sim, Pattern Recognition 2011). The authors choose the second blur
for each edge, by the scale up to which it is an edge. Here the ratios after several blurs and that scale are the
features of a regression, since edges of photographs are no steps and were not sharp before (docs/classical.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.sparse.linalg import cg

from gkm.classical.edges import Edges, consistent_edges
from gkm.classical.regression import Regression, load

Array = npt.NDArray[np.float32]
FIRST_REBLUR_PIXELS = 1.0
REBLURS_PIXELS = (0.6, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""The other blurs, after which gradients are compared with that after the first."""
SMOOTHNESS = 10.0
"""Weight of the difference of neighbours along an edge, beside one over its expected error for a pixel's own value."""
PIXELS_OF_EDGE = 20.0
"""A pixel of an edge weighs as much as so many of the area around it."""
LEARNED = Path(__file__).with_name("ebdb.npz")
"""The regression, as `python benchmarks/classical.py --learn` writes it."""
_SMALLEST_GRADIENT = 1e-5


def edge_sigmas(luminance_HW: Array) -> tuple[Array, Array]:
    """Sigma in pixels at edges, and a weight: `PIXELS_OF_EDGE` over its expected error squared; both [H,W].

    `luminance_HW` is linear light in [0, 1]. Both are 0 where there is no edge.
    """
    edges = consistent_edges(luminance_HW)
    sigmas_HW, weights_HW = np.zeros_like(luminance_HW), np.zeros_like(luminance_HW)
    if len(edges.rows_N):
        sigmas_N, errors_N = learned()(features(luminance_HW, edges))
        at = (edges.rows_N, edges.columns_N)
        sigmas_HW[at], weights_HW[at] = along_edges(edges, sigmas_N, 1 / errors_N), PIXELS_OF_EDGE / errors_N**2
    return sigmas_HW, weights_HW


def features(luminance_HW: Array, edges: Edges) -> Array:
    """What tells the blur of every edge pixel: log ratios of its gradients after two blurs, [N,9].

    Of the gradient after `FIRST_REBLUR_PIXELS` with that after each other one; then the logarithm of the former, since
    noise counts for more at faint edges, and the scale up to which the edge stays.
    """
    at = (edges.rows_N, edges.columns_N)
    logs = [
        np.log(np.maximum(gaussian_gradient_magnitude(luminance_HW, sigma, mode="reflect")[at], _SMALLEST_GRADIENT))
        for sigma in (FIRST_REBLUR_PIXELS, *REBLURS_PIXELS)
    ]
    ratios = [one - logs[0] for one in logs[1:]]
    return np.stack([*ratios, logs[0], edges.scales_N / 4], axis=1).astype(np.float32)


@cache
def learned() -> Regression:
    """From the features to sigma."""
    return load(LEARNED)


def along_edges(edges: Edges, sigmas_N: Array, own_N: npt.NDArray[np.floating]) -> Array:
    """Sigmas smoothed along connected edges, [N]: the connected edge filter. `own_N` says how much one stays itself."""
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
