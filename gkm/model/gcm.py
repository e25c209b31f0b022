"""An image in, the image filtered by every kernel of the bank out, or the weighted sum of equation (9) over them.

Section 3, "Gaussian Convolution Module". Shape legend: B images, 3 channels, K kernels, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.model.kernels import KernelBank, gaussian_bank, official_bank, paper_bank

Weights = tuple[Tensor, Tensor]
"""Coefficient maps gamma [B, K, H, W] and their weights omega [3, K, 3]: result channel, kernel, image channel."""

STRIP_PIXELS = 1 << 16


class GaussianConvolution(nn.Module):
    """image_B3HW in, z_BK3HW out: the image, zero beyond the border, convolved with K kernels of at most MxM pixels."""

    def __init__(self, max_kernel_size: int) -> None:
        super().__init__()
        self.reach = max_kernel_size // 2

    def mix(self, image_B3HW: Tensor, *weights: Weights) -> Tensor:
        """The sum over k of omega_k (gamma_k z_k) for every given (gamma, omega), [B, 3, H, W].

        Without gradients it is taken strip by strip, so that the K x 3 filtered maps never exist in full.
        """
        height, width = image_B3HW.shape[-2:]
        if torch.is_grad_enabled() and any(tensor.requires_grad for pair in weights for tensor in pair):
            return weighted_sum(self(image_B3HW), *weights)
        rows = max(STRIP_PIXELS // (width * len(image_B3HW)), 2 * self.reach + 1)
        strips = []
        for top in range(0, height, rows):
            above = min(top, self.reach)
            z = self(image_B3HW[:, :, top - above : top + rows + self.reach])[:, :, :, above : above + rows]
            strips.append(weighted_sum(z, *((gamma[:, :, top : top + rows], omega) for gamma, omega in weights)))
        return torch.cat(strips, dim=2)


def weighted_sum(z_BK3HW: Tensor, *weights: Weights) -> Tensor:
    """Sum over k of omega_k (gamma_k z_k): a 1x1 convolution from the K x 3 products to 3 channels."""
    sums = [
        functional.conv2d((gamma[:, :, None] * z_BK3HW).flatten(1, 2), omega.flatten(1)[:, :, None, None])
        for gamma, omega in weights
    ]
    return sum(sums[1:], start=sums[0])


class FixedGaussians(GaussianConvolution):
    """The predefined kernels. Channel c is convolved with kernels `kernel_of_K3[:][c]` of the bank.

    Every kernel is the outer product of its taps, so it is applied as a column and a row, at its own size.
    The taps are buffers that are rebuilt from the settings: nothing here is trained or saved.
    """

    def __init__(self, max_kernel_size: int, bank: KernelBank, kernel_of_K3: list[tuple[int, int, int]]) -> None:
        super().__init__(max_kernel_size)
        rows = [(kernel, channel) for kernels in kernel_of_K3 for channel, kernel in enumerate(kernels)]
        distinct = sorted(set(rows))
        self.sizes = sorted({len(bank.taps(kernel)) for kernel, _ in distinct})
        for size in self.sizes:
            same = [(kernel, channel) for kernel, channel in distinct if len(bank.taps(kernel)) == size]
            self.register_buffer(f"taps_{size}", torch.stack([bank.taps(k) for k, _ in same]).float(), persistent=False)
            self.register_buffer(f"channels_{size}", torch.tensor([c for _, c in same]), persistent=False)
        places = None if rows == distinct else torch.tensor([distinct.index(row) for row in rows])
        self.register_buffer("places", places, persistent=False)
        self.places: Tensor | None

    def forward(self, image_B3HW: Tensor) -> Tensor:
        rows = torch.cat([self._filter(image_B3HW, size) for size in self.sizes], dim=1)
        if self.places is not None:
            rows = rows[:, self.places]
        return rows.view(len(rows), -1, *image_B3HW.shape[1:])

    def _filter(self, image_B3HW: Tensor, size: int) -> Tensor:
        taps, channels = self.get_buffer(f"taps_{size}"), self.get_buffer(f"channels_{size}")
        rows = image_B3HW.index_select(1, channels)
        if size == 1:
            return rows
        columns = functional.conv2d(rows, taps[:, None, :, None], padding=(size // 2, 0), groups=len(channels))
        return functional.conv2d(columns, taps[:, None, None, :], padding=(0, size // 2), groups=len(channels))


class LearnedKernels(GaussianConvolution):
    """K trained M x M kernels that all channels and scales share (Table 4), started from the bank or by Xavier."""

    def __init__(self, max_kernel_size: int, num_kernels: int, *, start: str) -> None:
        super().__init__(max_kernel_size)
        self.kernels = nn.Parameter(gaussian_bank(max_kernel_size, num_kernels)[1])
        if start == "learned_random":
            nn.init.xavier_uniform_(self.kernels.data[:, None])

    def forward(self, image_B3HW: Tensor) -> Tensor:
        channels = image_B3HW.reshape(-1, 1, *image_B3HW.shape[2:])
        filtered = functional.conv2d(channels, self.kernels[:, None], padding=self.reach)
        return filtered.view(*image_B3HW.shape[:2], *filtered.shape[1:]).transpose(1, 2)


def gaussian_convolution(config: ModelConfig) -> FixedGaussians | LearnedKernels:
    """The Gaussian convolution module that `config` asks for."""
    size = config.max_kernel_size
    if config.gcm != "fixed":
        return LearnedKernels(size, config.num_kernels, start=config.gcm)
    if config.bank == "paper":
        bank = paper_bank(size, config.num_kernels)
        return FixedGaussians(size, bank, [(kernel, kernel, kernel) for kernel in range(len(bank))])
    # The release lays each kernel three times in a row and then deals these rows out to R, G and B in three blocks.
    bank = official_bank(size)
    count = len(bank)
    return FixedGaussians(size, bank, [(k // 3, (count + k) // 3, (2 * count + k) // 3) for k in range(count)])
