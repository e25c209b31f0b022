"""An image in, the image filtered by every kernel of the bank out (section 3, "Gaussian Convolution Module")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.model.kernels import KernelBank, gaussian_bank, official_bank, paper_bank


class FixedGaussians(nn.Module):
    """image_B3HW in, z_BK3HW out: z[:, k, c] is channel c convolved with its k-th kernel, zero beyond the border.

    Every kernel is the outer product of its taps, so it is applied as a column and a row, at its own size.
    The taps are buffers that are rebuilt from the settings: nothing here is trained or saved.
    """

    def __init__(self, bank: KernelBank, kernel_of_K3: list[tuple[int, int, int]]) -> None:
        super().__init__()
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


class LearnedKernels(nn.Module):
    """image_B3HW in, z_BK3HW out, with K trained M x M kernels that all channels and scales share (Table 4)."""

    def __init__(self, max_kernel_size: int, num_kernels: int, *, start: str) -> None:
        super().__init__()
        self.kernels = nn.Parameter(gaussian_bank(max_kernel_size, num_kernels)[1])
        if start == "learned_random":
            nn.init.xavier_uniform_(self.kernels.data[:, None])

    def forward(self, image_B3HW: Tensor) -> Tensor:
        channels = image_B3HW.reshape(-1, 1, *image_B3HW.shape[2:])
        filtered = functional.conv2d(channels, self.kernels[:, None], padding=self.kernels.shape[-1] // 2)
        return filtered.view(*image_B3HW.shape[:2], *filtered.shape[1:]).transpose(1, 2)


def gaussian_convolution_module(config: ModelConfig) -> FixedGaussians | LearnedKernels:
    """The Gaussian convolution module that `config` asks for."""
    if config.gcm != "fixed":
        return LearnedKernels(config.max_kernel_size, config.num_kernels, start=config.gcm)
    if config.bank == "paper":
        bank = paper_bank(config.max_kernel_size, config.num_kernels)
        return FixedGaussians(bank, [(kernel, kernel, kernel) for kernel in range(len(bank))])
    # The release lays each kernel three times in a row and then deals these rows out to R, G and B in three blocks.
    bank = official_bank(config.max_kernel_size)
    count = len(bank)
    return FixedGaussians(bank, [(k // 3, (count + k) // 3, (2 * count + k) // 3) for k in range(count)])
