"""A blurred image and the mixing coefficients of its blur in, the image sharpened by fixed-point iteration out.

This is the classical method that the network unrolls: equations (4) to (6), with nothing learned. With the coefficients
that made a blur, or that explain it best, it is the baseline "GKM fixed point, oracle kernels" of reports.

Shape legend: B images, C channels, H x W pixels, K kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gkm.networks.gkmnet.kernels import KernelBank

Border = Literal["constant", "reflect", "replicate", "circular"]
"""What lies beyond an image: zeros, itself mirrored, its last row or column, or itself again."""


def gkm_blur(x_BCHW: Tensor, beta_BKHW: Tensor, bank: KernelBank, *, border: Border = "replicate") -> Tensor:
    """B x of equation (4): the sum over k of beta_k (g(sigma_k) * x).

    `beta_BKHW` are mixing coefficients; where they sum to 1 over k, grey levels stay. Raises ValueError for
    coefficients that do not suit the image or the bank.
    """
    expected = (x_BCHW.shape[0], len(bank), *x_BCHW.shape[2:])
    if beta_BKHW.shape != expected:
        raise ValueError(
            f"the coefficients have the shape {list(beta_BKHW.shape)}, but this image needs {list(expected)}"
        )
    blurred = torch.zeros_like(x_BCHW)
    for index in range(len(bank)):
        blurred += beta_BKHW[:, index, None] * _convolve(x_BCHW, bank.taps(index), border)
    return blurred


def iterates(y_BCHW: Tensor, beta_BKHW: Tensor, bank: KernelBank, *, border: Border = "replicate") -> Iterator[Tensor]:
    """x_1 = y, x_2, x_3, .. of equation (6), x_{t+1} = y + x_t - B x_t, without end.

    They converge where the eigenvalues of B lie in (0, 1], see `eigenvalues`; elsewhere they first sharpen and
    then slowly diverge, so that stopping early matters.
    """
    x = y_BCHW
    while True:
        yield x
        x = y_BCHW + x - gkm_blur(x, beta_BKHW, bank, border=border)  # (6)


def solve(
    y_BCHW: Tensor, beta_BKHW: Tensor, bank: KernelBank, iterations: int, *, border: Border = "replicate"
) -> Tensor:
    """The image after `iterations` applications of equation (6) to y; 0 gives y itself."""
    if iterations < 0:
        raise ValueError(f"the number of iterations is {iterations}, but must be 0 or more")
    return next(islice(iterates(y_BCHW, beta_BKHW, bank, border=border), iterations, None))


def coefficients_of(sigmas_BHW: Tensor, bank: KernelBank) -> Tensor:
    """Mixing coefficients beta [B, K, H, W] of a blur that is known: a Gaussian of the given sigma (pixels) everywhere.

    Each pixel mixes the two kernels of the bank around its variance so that the variances add up to it, as sampled and
    truncated kernels have them; larger sigmas than the bank's get its widest kernel.
    """
    variances = torch.tensor([_variance(bank.taps(index)) for index in range(len(bank))], dtype=torch.float64)
    order = variances.argsort()
    variances = variances[order]
    wanted = (sigmas_BHW.double() ** 2).clamp(float(variances[0]), float(variances[-1]))
    upper = torch.searchsorted(variances, wanted).clamp(1 if len(bank) > 1 else 0, len(bank) - 1)
    lower = (upper - 1).clamp(min=0)
    gap = (variances[upper] - variances[lower]).clamp(min=1e-12)
    share = ((wanted - variances[lower]) / gap).clamp(0, 1) if len(bank) > 1 else torch.ones_like(wanted)
    beta_BHWK = sigmas_BHW.new_zeros(*sigmas_BHW.shape, len(bank), dtype=torch.float64)
    beta_BHWK.scatter_add_(3, order[lower][..., None], (1 - share)[..., None])
    beta_BHWK.scatter_add_(3, order[upper][..., None], share[..., None])
    return beta_BHWK.permute(0, 3, 1, 2).to(sigmas_BHW.dtype)


def oracle_coefficients(
    y_BCHW: Tensor, sharp_BCHW: Tensor, bank: KernelBank, *, window_sigma_pixels: float = 3.0
) -> Tensor:
    """Mixing coefficients beta [B, K, H, W] of a blur found with the sharp image at hand, which no method has.

    Each pixel gets the one kernel of the bank with which the sharp image looks most like `y` around it: the smallest
    mean squared difference under a Gaussian window of `window_sigma_pixels`. Raises ValueError for images of different
    shapes.
    """
    if y_BCHW.shape != sharp_BCHW.shape:
        raise ValueError(f"the images have the shapes {list(y_BCHW.shape)} and {list(sharp_BCHW.shape)}; give partners")
    reach = math.ceil(2 * window_sigma_pixels)
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    window = torch.exp(-(distance**2) / (2 * window_sigma_pixels**2))
    window /= window.sum()
    least = torch.full_like(y_BCHW[:, :1], torch.inf)
    chosen = torch.zeros_like(least, dtype=torch.int64)
    for index in range(len(bank)):
        difference = _convolve(sharp_BCHW, bank.taps(index), "replicate") - y_BCHW
        error = _convolve(difference.square().mean(1, keepdim=True), window, "replicate")
        nearer = error < least
        least, chosen = torch.where(nearer, error, least), torch.where(nearer, index, chosen)
    return torch.zeros_like(y_BCHW[:, :1]).repeat(1, len(bank), 1, 1).scatter_(1, chosen, 1.0)


def eigenvalues(beta_K: Tensor, bank: KernelBank, height: int, width: int) -> Tensor:
    """Eigenvalues [H, W] of a uniform blur of a periodic image: its transfer function at every frequency.

    Equation (6) multiplies the error at a frequency by 1 - eigenvalue in every iteration. The paper's argument wants
    them in (0, 1]; kernels cut off at two sigma have some slightly below zero from a sigma of 1.25 pixels on.
    """
    transfer = torch.zeros(height, width, dtype=torch.float64)
    for index in range(len(bank)):
        down, along = (_transfer(bank.taps(index), size) for size in (height, width))
        transfer += float(beta_K[index]) * torch.outer(down, along)
    return transfer


def _convolve(x_BCHW: Tensor, taps_M: Tensor, border: Border) -> Tensor:
    """Both passes of one separable kernel."""
    reach = len(taps_M) // 2
    if reach == 0:
        return x_BCHW * float(taps_M)
    channels = x_BCHW.shape[1]
    taps = taps_M.to(x_BCHW).expand(channels, 1, -1)
    padded = functional.pad(x_BCHW, (reach, reach, reach, reach), mode=border)
    return functional.conv2d(
        functional.conv2d(padded, taps[..., None], groups=channels), taps[:, :, None], groups=channels
    )


def _variance(taps_M: Tensor) -> float:
    distance = torch.arange(len(taps_M), dtype=torch.float64) - len(taps_M) // 2
    return float((taps_M * distance**2).sum())


def _transfer(taps_M: Tensor, size: int) -> Tensor:
    distance = torch.arange(len(taps_M), dtype=torch.float64) - len(taps_M) // 2
    frequency = 2 * torch.pi * torch.arange(size, dtype=torch.float64) / size
    return (taps_M * torch.cos(frequency[:, None] * distance)).sum(1)
