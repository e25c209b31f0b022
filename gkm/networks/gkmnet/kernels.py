"""M and K in; the Gaussian bank out: its sigmas, its kernel sizes, and its kernels in one and two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KernelBank:
    """Gaussian kernels in order of sigma, as their one-dimensional factors."""

    sigmas_pixels: tuple[float, ...]
    """Standard deviations [K]; 0 is the Dirac delta."""
    sizes_pixels: tuple[int, ...]
    """Supports [K], odd: beyond them a kernel is zero."""

    def __len__(self) -> int:
        return len(self.sigmas_pixels)

    def taps(self, index: int) -> Tensor:
        """The one-dimensional factor [m] of kernel `index`, in float64 and summing to 1."""
        sigma, size = self.sigmas_pixels[index], self.sizes_pixels[index]
        if sigma == 0:
            return torch.ones(1, dtype=torch.float64)
        distance = torch.arange(size, dtype=torch.float64) - size // 2
        weights = torch.exp(-(distance**2) / (2 * sigma**2))
        return weights / weights.sum()

    def dense(self, max_kernel_size: int) -> Tensor:
        """All kernels [K, M, M] in float64, each zero beyond its own size."""
        kernels = torch.zeros(len(self), max_kernel_size, max_kernel_size, dtype=torch.float64)
        for index in range(len(self)):
            taps = self.taps(index)
            border = (max_kernel_size - len(taps)) // 2
            inside = slice(border, border + len(taps))
            kernels[index, inside, inside] = torch.outer(taps, taps)
        return kernels


def paper_bank(max_kernel_size: int, num_kernels: int) -> KernelBank:
    """The bank of section 3, "Gaussian Convolution Module", for any odd M and any K >= 1.

    The sigmas are K equally spaced values from 0 to (M - 1) / 4; a kernel of size m serves sigmas up to (m - 1) / 4.
    With K = M these are the paper's kernels: the delta, and for m = 3, 5, .., M the sigmas (m - 2) / 4 and (m - 1) / 4.
    """
    # In quarter pixels and with exact integers: sigma = (M - 1) index / (4 (K - 1)).
    steps = max(num_kernels - 1, 1)
    sigmas, sizes = [], []
    for index in range(num_kernels):
        quarters = (max_kernel_size - 1) * index
        sigmas.append(quarters / (4 * steps))
        smallest = -(-quarters // steps) + 1
        sizes.append(smallest + (smallest + 1) % 2)
    return KernelBank(tuple(sigmas), tuple(sizes))


def official_bank(max_kernel_size: int) -> KernelBank:
    """The M + 1 kernels of the authors' release: the delta, then sigma = i / 4 for i = 1..M.

    The first three share the size 3, then two share each of the sizes 5, 7, .., M.
    """
    steps = range(1, max_kernel_size + 1)
    return KernelBank(
        (0.0, *(step / 4 for step in steps)),
        (1, *(3 if step <= 3 else 2 * (step // 2) + 1 for step in steps)),
    )


def gaussian_bank(max_kernel_size: int, num_kernels: int) -> tuple[Tensor, Tensor]:
    """The paper's bank for kernels of at most M x M pixels: sigmas [K] in pixels and kernels [K, M, M], float32.

    Every kernel sums to 1 and the first is the Dirac delta (section 3, "Gaussian Convolution Module").
    """
    bank = paper_bank(max_kernel_size, num_kernels)
    return torch.tensor(bank.sigmas_pixels), bank.dense(max_kernel_size).float()
