"""A blurred photograph in, its deblurred versions at T scales out: GKMNet, equations (8) and (9) of the paper.

Shape legend: B images, 3 colour channels, H x W pixels, K kernels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from gkm.config import GKMNetConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.folding import fold
from gkm.networks.gkmnet.gcm import GaussianConvolution, gaussian_convolution
from gkm.networks.gkmnet.sram import SRAM, AttentionPredictionUnit, AttentiveBlock, start_xavier
from gkm.networks.network import Network, check_size
from gkm.networks.ops.conv_lstm import State
from gkm.networks.ops.pyramid import STRIDE, doubled, pyramid


class Block(nn.Module):
    """One block: y_t, x_t upsampled and the recurrent state in, the next x and the next state out (Figure 1)."""

    def __init__(self, config: GKMNetConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.sram = SRAM(config)
        scales = config.num_scales if config.omega == "per_scale" else 1
        self.omega_y = nn.Parameter(torch.empty(scales, 3, 3, config.num_kernels))
        self.omega_x = nn.Parameter(torch.empty(scales, 3, 3, config.num_kernels))
        self.bias = nn.Parameter(torch.zeros(3)) if config.omega == "shared_with_bias" else None
        for omega in (self.omega_y, self.omega_x):
            if config.residual:
                # The untrained network is the identity but for about a grey level, and gradients reach every layer.
                nn.init.normal_(omega, std=0.01 / (6 * config.num_kernels) ** 0.5)
            else:
                nn.init.xavier_uniform_(omega.data.view(scales * 3, -1))

    def forward(
        self,
        gcm: GaussianConvolution,
        scale: int,
        y_B3HW: Tensor,
        x_B3HW: Tensor | None,
        state: State | None,
        window: int | None = None,
    ) -> tuple[Tensor, State | None]:
        """Equation (9); `x` None stands for x_1 = y_1, `scale` counts from the coarsest, for `window` see `SRAM`."""
        gamma_B2KHW, state = self.sram(y_B3HW, state, window)
        return self.mixture(gcm, scale, y_B3HW, x_B3HW, gamma_B2KHW), state

    def mixture(
        self, gcm: GaussianConvolution, scale: int, y_B3HW: Tensor, x_B3HW: Tensor | None, gamma_B2KHW: Tensor
    ) -> Tensor:
        """Equation (9) with given coefficient maps, those for y first."""
        gamma_y, gamma_x = gamma_B2KHW.chunk(2, dim=1)
        shared = len(self.omega_y) == 1
        omega_y, omega_x = self.omega_y[0 if shared else scale], self.omega_x[0 if shared else scale]
        if x_B3HW is None:
            mixed = gcm.mix(y_B3HW, (gamma_y, omega_y), (gamma_x, omega_x))
        else:
            mixed = gcm.mix(y_B3HW, (gamma_y, omega_y)) + gcm.mix(x_B3HW, (gamma_x, omega_x))
        if self.bias is not None:
            mixed = mixed + self.bias[:, None, None]
        return y_B3HW + mixed if self.residual else mixed  # (9)


class ImageBlock(nn.Module):
    """The block of SRAM* (Table 4): the SRAM's maps become an image by a 1x1 convolution and a sigmoid."""

    def __init__(self, config: GKMNetConfig) -> None:
        super().__init__()
        self.sram = SRAM(config)
        self.to_image = nn.Conv2d(2 * config.num_kernels, 3, kernel_size=1)
        start_xavier(self.to_image)

    def forward(self, y_B3HW: Tensor, state: State | None, window: int | None = None) -> tuple[Tensor, State | None]:
        maps, state = self.sram(y_B3HW, state, window)
        return torch.sigmoid(self.to_image(maps)), state


class GKMNet(Network):
    """Gaussian kernel mixture network (section 3): T scales from coarse to fine, R iterations of a block at each."""

    config: GKMNetConfig
    recomputed = (AttentiveBlock, AttentionPredictionUnit)

    def __init__(self, config: GKMNetConfig) -> None:
        super().__init__(config)
        self.size_multiple = STRIDE << (config.num_scales - 1)
        self.gcm = gaussian_convolution(config) if config.output == "mixture" else None
        block = Block if config.output == "mixture" else ImageBlock
        distinct = 1 if config.share_iterations else config.iterations_per_scale
        self.blocks = nn.ModuleList(block(config) for _ in range(distinct))

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """Deblurred images (in [0, 1] but for over- and undershoot), one for each scale from coarse to fine.

        `blurred_B3HW` in [0, 1] has any height and width of at least 16. Scale t is ceil(H / 2^(T-t)) x
        ceil(W / 2^(T-t)) pixels, so the last result has the input's size; with R > 1 iterations the last of a scale
        is given. Raises ValueError for smaller images.
        """
        check_size(self, blurred_B3HW)
        height, width = blurred_B3HW.shape[-2:]
        results = self.at_scales(pyramid(blurred_B3HW, self.config.num_scales))
        shrinks = [2**scale for scale in reversed(range(self.config.num_scales))]
        return [
            x[..., : -(-height // shrink), : -(-width // shrink)] for x, shrink in zip(results, shrinks, strict=True)
        ]

    def at_scales(self, images_B3HW: Sequence[Tensor]) -> list[Tensor]:
        """Equation (8): the results for y_1, .., y_T, each twice as high and wide as the one before."""
        results: list[Tensor] = []
        x: Tensor | None = None
        state: State | None = None
        for scale, y in enumerate(images_B3HW):
            if x is not None:
                x = doubled(x)
            if state is not None:
                state = doubled(state[0]), doubled(state[1])
            window = self.window_at(scale)
            for iteration in range(self.config.iterations_per_scale):
                block = self.blocks[iteration % len(self.blocks)]
                if self.gcm is None:
                    x, state = block(y, state, window)
                else:
                    x, state = block(self.gcm, scale, y, x, state, window)  # (8)
            assert x is not None
            results.append(x)
        return results

    def window_at(self, scale: int) -> int | None:
        """Side of the windows that attention pools over, in pixels of `scale` (from the coarsest); None: no windows.

        They are as large as crops of `model.window_pixels` are when they pass, which is a multiple of `size_multiple`.
        """
        pixels = self.config.window_pixels
        if pixels is None or self.training:
            return None
        return -(-pixels // self.size_multiple) * STRIDE << scale

    def with_window(self, pixels: int | None) -> Self:
        changed = copy.deepcopy(self)
        try:
            changed.config = type(self.config)(**{**self.config.model_dump(), "window_pixels": pixels})
        except ValidationError as error:
            raise InputError(f"a window of {pixels} pixels: {error.errors()[0]['msg']}; use another size") from None
        return changed

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs: batch norm folded into the convolutions, channels last.

        It gives the same results as this network in evaluation mode, cannot be trained, and its weights cannot be
        loaded into another network. With `dtype` bfloat16 the convolutions compute in 16 bits, which differs by about
        a thousandth of the results' range and is quicker where the processor has instructions for it; images stay as
        they are given.
        """
        return fold(self, dtype)
