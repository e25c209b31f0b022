"""An image in, the image filtered by every kernel of the bank out, or the weighted sum of equation (9) over them.

Section 3, "Gaussian Convolution Module". Shape legend: B images, 3 channels, K kernels, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import GKMNetConfig
from gkm.networks.gkmnet.kernels import KernelBank, gaussian_bank, official_bank, paper_bank
from gkm.networks.ops.mixing import Weights, fits_tiles, mix_separably, weighted_sum
from gkm.networks.ops.separable import SeparableFilter, filtered


class FixedGaussians(nn.Module):
    """image_B3HW in, z_B3KHW out: z[:, c, k] is channel c convolved with kernel `kernel_of_3K[c][k]` of the bank.

    Beyond the border the image is zero. The kernels are buffers that are rebuilt from the settings: nothing here is
    trained or saved.
    """

    def __init__(self, max_kernel_size: int, bank: KernelBank, kernel_of_3K: list[list[int]]) -> None:
        super().__init__()
        self.reach = max_kernel_size // 2
        distinct = [sorted(set(kernels)) for kernels in kernel_of_3K]
        taps = torch.zeros(3, len(distinct[0]), max_kernel_size, dtype=torch.float64)
        for channel, kernels in enumerate(distinct):
            for place, kernel in enumerate(kernels):
                own = bank.taps(kernel)
                taps[channel, place, self.reach - len(own) // 2 :][: len(own)] = own
        places = torch.tensor([[distinct[c].index(kernel) for kernel in kernel_of_3K[c]] for c in range(3)])
        places += len(distinct[0]) * torch.arange(3)[:, None]
        self.register_buffer("taps_3JM", taps.float(), persistent=False)
        self.register_buffer("places_3K", places, persistent=False)
        self.all_distinct = len(distinct[0]) == places.shape[1]
        self._filters: dict[tuple[int, torch.dtype, torch.device], SeparableFilter] = {}

    def forward(self, image_B3HW: Tensor) -> Tensor:
        return filtered(image_B3HW, self.get_buffer("taps_3JM").flatten(0, 1), self.get_buffer("places_3K"))

    def mix(self, image_B3HW: Tensor, *weights: Weights) -> Tensor:
        """The sum over k of omega_k (gamma_k z_k) for every given (gamma, omega), [B, 3, H, W]."""
        taps_3JM = self.get_buffer("taps_3JM")
        if fits_tiles(image_B3HW, taps_3JM.shape[2]):
            # Imported where it is used: PyTorch brings its compiler along, which takes seconds.
            from gkm.networks.ops.mixing_operator import mix_all_in_tiles

            return mix_all_in_tiles(image_B3HW, taps_3JM.flatten(0, 1), self.get_buffer("places_3K"), *weights)
        if image_B3HW.is_cuda or torch.compiler.is_compiling():
            return weighted_sum(self(image_B3HW), *weights)
        places = None if self.all_distinct else self.get_buffer("places_3K").t()
        return mix_separably(self._filter_for(image_B3HW), places, image_B3HW, *weights)

    def _filter_for(self, image_B3HW: Tensor) -> SeparableFilter:
        """The filter for images of this width, type and device; the last few are kept."""
        key = image_B3HW.shape[-1], image_B3HW.dtype, image_B3HW.device
        if key not in self._filters:
            if len(self._filters) >= 16:
                self._filters.clear()
            self._filters[key] = SeparableFilter(self.get_buffer("taps_3JM").to(image_B3HW.dtype), key[0])
        return self._filters[key]


class LearnedKernels(nn.Module):
    """image_B3HW in, z_B3KHW out, with K trained M x M kernels that all channels and scales share (Table 4)."""

    def __init__(self, max_kernel_size: int, num_kernels: int, *, start: str) -> None:
        super().__init__()
        self.reach = max_kernel_size // 2
        self.kernels = nn.Parameter(gaussian_bank(max_kernel_size, num_kernels)[1])
        if start == "learned_random":
            nn.init.xavier_uniform_(self.kernels.data[:, None])

    def forward(self, image_B3HW: Tensor) -> Tensor:
        channels = image_B3HW.reshape(-1, 1, *image_B3HW.shape[2:])
        filtered = functional.conv2d(channels, self.kernels[:, None], padding=self.reach)
        return filtered.view(*image_B3HW.shape[:2], *filtered.shape[1:])

    def mix(self, image_B3HW: Tensor, *weights: Weights) -> Tensor:
        """The sum over k of omega_k (gamma_k z_k) for every given (gamma, omega), [B, 3, H, W]."""
        return weighted_sum(self(image_B3HW), *weights)


GaussianConvolution = FixedGaussians | LearnedKernels


def gaussian_convolution(config: GKMNetConfig) -> GaussianConvolution:
    """The Gaussian convolution module that `config` asks for."""
    size = config.max_kernel_size
    if config.gcm != "fixed":
        return LearnedKernels(size, config.num_kernels, start=config.gcm)
    if config.bank == "paper":
        bank = paper_bank(size, config.num_kernels)
        return FixedGaussians(size, bank, [list(range(len(bank)))] * 3)
    # The release lays each kernel three times in a row and then deals these rows out to R, G and B in three blocks.
    bank = official_bank(size)
    rows = [kernel for kernel in range(len(bank)) for _ in range(3)]
    return FixedGaussians(size, bank, [rows[c * len(bank) : (c + 1) * len(bank)] for c in range(3)])
