"""An image in, the image filtered by every kernel of the bank out (section 3, "Gaussian Convolution Module")."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.model.kernels import KernelBank, gaussian_bank, official_bank, paper_bank


class FixedGaussians(nn.Module):
    """image_B3HW in, z_B3KHW out: z[:, c, k] is channel c convolved with its k-th kernel, zero beyond the border.

    Every kernel is the outer product of its taps, so it is applied as a column and a row, at its own size.
    The taps are buffers that are rebuilt from the settings: nothing here is trained or saved.
    """

    def __init__(self, bank: KernelBank, kernel_of_3K: list[list[int]]) -> None:
        super().__init__()
        self.num_kernels = len(kernel_of_3K[0])
        rows = [(channel, kernel) for channel, kernels in enumerate(kernel_of_3K) for kernel in kernels]
        by_size: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for channel, kernel in dict.fromkeys(rows):
            by_size[len(bank.taps(kernel))].append((channel, kernel))
        order: list[tuple[int, int]] = []
        self.sizes = sorted(by_size)
        for size in self.sizes:
            self.register_buffer(f"taps_{size}", torch.stack([bank.taps(k) for _, k in by_size[size]]).float(), False)
            self.register_buffer(f"channels_{size}", torch.tensor([c for c, _ in by_size[size]]), False)
            order += by_size[size]
        self.register_buffer("places", torch.tensor([order.index(row) for row in rows]), False)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        filtered = torch.cat([self._filter(image_B3HW, size) for size in self.sizes], dim=1)
        places = self.get_buffer("places")
        return filtered[:, places].view(len(image_B3HW), 3, self.num_kernels, *image_B3HW.shape[2:])

    def _filter(self, image_B3HW: Tensor, size: int) -> Tensor:
        taps, channels = self.get_buffer(f"taps_{size}"), self.get_buffer(f"channels_{size}")
        rows = image_B3HW[:, channels]
        if size == 1:
            return rows
        columns = functional.conv2d(rows, taps[:, None, :, None], padding=(size // 2, 0), groups=len(channels))
        return functional.conv2d(columns, taps[:, None, None, :], padding=(0, size // 2), groups=len(channels))


class LearnedKernels(nn.Module):
    """image_B3HW in, z_B3KHW out, with K trained M x M kernels that all channels and scales share (Table 4)."""

    def __init__(self, max_kernel_size: int, num_kernels: int, *, start: str) -> None:
        super().__init__()
        self.kernels = nn.Parameter(gaussian_bank(max_kernel_size, num_kernels)[1])
        if start == "learned_random":
            nn.init.xavier_uniform_(self.kernels.data[:, None])

    def forward(self, image_B3HW: Tensor) -> Tensor:
        channels = image_B3HW.flatten(0, 1)[:, None]
        filtered = functional.conv2d(channels, self.kernels[:, None], padding=self.kernels.shape[-1] // 2)
        return filtered.view(*image_B3HW.shape[:2], *filtered.shape[1:])


def gaussian_convolution_module(config: ModelConfig) -> FixedGaussians | LearnedKernels:
    """The Gaussian convolution module that `config` asks for."""
    if config.gcm != "fixed":
        return LearnedKernels(config.max_kernel_size, config.num_kernels, start=config.gcm)
    if config.bank == "paper":
        bank = paper_bank(config.max_kernel_size, config.num_kernels)
        return FixedGaussians(bank, [list(range(len(bank)))] * 3)
    # The release lays each kernel three times in a row and then deals the rows out to R, G and B in three blocks.
    bank = official_bank(config.max_kernel_size)
    rows = [kernel for kernel in range(len(bank)) for _ in range(3)]
    return FixedGaussians(bank, [rows[c * len(bank) : (c + 1) * len(bank)] for c in range(3)])
