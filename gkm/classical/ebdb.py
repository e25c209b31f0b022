"""A photograph's luminance in, the blur around its edges out: after Karaali and Jung, TIP 2018.

A step edge, blurred by sigma and then by s, has a gradient in proportion to 1 / sqrt(sigma^2 + s^2). So the ratio of
the gradients after two blurs gives sigma (Zhuo and Sim, Pattern Recognition 2011). The authors choose the second blur
for each edge, by the scale up to which it is an edge. Here the ratios after several blurs and that scale are the
features of a regression, since edges of photographs are no steps and were not sharp before. A second regression weighs
the edges around a cell against each other (docs/classical.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.sparse.linalg import cg

from gkm.classical.around import CELL_PIXELS, cell_features, middles
from gkm.classical.edges import Edges, consistent_edges
from gkm.classical.regression import Regression, load

Array = npt.NDArray[np.float32]
FIRST_REBLUR_PIXELS = 1.0
REBLURS_PIXELS = (0.6, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""The other blurs, after which gradients are compared with that after the first."""
SMOOTHNESS = 10.0
"""Weight of the difference of neighbours along an edge, beside one over its expected error for a pixel's own value."""
CAUTION = 0.2
"""A sigma is taken lower by this share of its expected error: too much deconvolution costs more than too little."""
PIXELS_OF_EDGE = 10.0
"""A pixel of an edge weighs as much as so many of a cell that is as sure. So steps of blur stay in their place."""
TYPICAL_ERROR_PIXELS = 0.5
"""A cell for which this error is expected weighs its area over it; one with half the error four times as much."""
LEARNED = Path(__file__).with_name("ebdb.npz")
"""Both regressions, ensembles of three, as `python benchmarks/classical.py --learn` writes them."""
_SMALLEST_GRADIENT = 1e-5


def sigmas(luminance_HW: Array) -> tuple[Array, Array]:
    """Sigma in pixels at edge pixels and at the middle of every cell, and a weight; both [H,W].

    The weight is in proportion to an area, of the cell or `PIXELS_OF_EDGE`, over the square of the expected error.
    Sigma is a little below the middle of what it may be (`CAUTION`). `luminance_HW` is linear light in [0, 1]. Both are
    0 elsewhere, and everywhere if there is no edge at all.
    """
    of_edges, of_cells = learned()
    edges = consistent_edges(luminance_HW)
    sigmas_HW, weights_HW = np.zeros_like(luminance_HW), np.zeros_like(luminance_HW)
    if len(edges.rows_N):
        at_edges = edge_sigmas(luminance_HW, edges, of_edges)
        features_hwF = cell_features(edges, *at_edges, luminance_HW.shape)
        at_cells = of_cells(features_hwF.reshape(-1, features_hwF.shape[-1]))
        for area, at, (found, errors) in (
            (PIXELS_OF_EDGE, (edges.rows_N, edges.columns_N), at_edges),
            (CELL_PIXELS**2, middles(luminance_HW.shape), at_cells),
        ):
            sigmas_HW[at] = np.maximum(found - CAUTION * errors, 0)
            weights_HW[at] = area * TYPICAL_ERROR_PIXELS / errors**2
    return sigmas_HW, weights_HW


def edge_sigmas(luminance_HW: Array, edges: Edges, of_edges: Regression) -> tuple[Array, Array]:
    """Of every edge pixel, smoothed along edges, and its expected error, each [N] in pixels; there is an edge."""
    sigmas_N, errors_N = of_edges(features(luminance_HW, edges))
    return along_edges(edges, sigmas_N, 1 / errors_N), errors_N


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
def learned() -> tuple[Regression, Regression]:
    """From the features of edge pixels to sigma, and from those of cells."""
    return load(LEARNED, "edges_"), load(LEARNED, "cells_")


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
