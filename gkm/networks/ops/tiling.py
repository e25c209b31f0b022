"""Number of taps in; how the results of equation (9) are cut into tiles on a GPU, and what that costs.

Shape legend: B images, 3 channels, K kernels of M taps, H x W pixels; tiles of T x T results, with P x P pixels around.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

MOST_TAPS = 33
"""Longer kernels would need more shared memory than a GPU has for a tile."""


@dataclass(frozen=True)
class Tiles:
    """How results of kernels of M taps are cut into tiles.

    The P x P pixels around a tile in three channels take 12 P^2 bytes of shared memory (48 KiB for P = 64); factors of
    products lie beside them. Triton 3.7 asks for 124 KiB in all for M = 21 on an H100.
    """

    taps: int
    """M."""
    side: int
    """T, a power of two, as all sides of Triton's tensors are."""
    padded: int
    """P >= T + M - 1."""
    warps: int


def tiles(taps: int) -> Tiles:
    """Tiles of 16 pixels up to 17 taps, of 32 up to 33; ValueError beyond."""
    if taps <= 17:
        return Tiles(taps, 16, 32, warps=4)
    if taps <= MOST_TAPS:
        return Tiles(taps, 32, 64, warps=8)
    raise ValueError(
        f"kernels have at most {MOST_TAPS} taps here, but these have {taps}; use the separable convolutions"
    )


@dataclass(frozen=True)
class MixingCost:
    """What the weighted sum takes at the least, forwards or backwards."""

    bytes: int
    """Read from and written to the GPU's memory: every tensor once, in 32 bits; tiles overlap, in its cache."""
    macs: int
    """Multiply-adds of the products of band matrices, most of which are by zero; others are a tenth of them."""


def forward_cost(batch: int, kernels: int, taps: int, height: int, width: int) -> MixingCost:
    """Image and coefficient maps in, one image out.

    With M = K = 21 and 1680 x 1120 pixels: 203 MB and 22.8 G multiply-adds, where a stored copy of the blurred images
    alone would be 474 MB to write and to read again.
    """
    pixels = batch * height * width
    return MixingCost(4 * pixels * (6 + kernels), _products(batch, kernels, taps, height, width))


def backward_cost(batch: int, kernels: int, taps: int, height: int, width: int) -> MixingCost:
    """Image, coefficient maps (twice) and the result's gradient (twice) in; gradients of the image and the maps out."""
    pixels = batch * height * width
    return MixingCost(4 * pixels * (12 + 3 * kernels), 2 * _products(batch, kernels, taps, height, width))


def _products(batch: int, kernels: int, taps: int, height: int, width: int) -> int:
    cut = tiles(taps)
    count = prod((batch, -(-height // cut.side), -(-width // cut.side)))
    return count * 3 * kernels * (cut.side * cut.padded**2 + cut.side**2 * cut.padded)
