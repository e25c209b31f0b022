"""A blurred photograph in, its deblurred versions at T scales out: GKMNet, equations (8) and (9) of the paper.

Shape legend: B images, 3 colour channels (C), H x W pixels, K kernels; D are the channels of the result.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.model.gcm import gaussian_convolution_module
from gkm.model.recurrent import State
from gkm.model.sram import SRAM, STRIDE, start_xavier

SMALLEST_SIDE_PIXELS = 16


class Mixture(nn.Module):
    """The weighted sum of equation (9), without its y_t: sum_k omega_k (gamma_k z_k), over the maps z of y and of x.

    omega is a 1x1 convolution from the 6K products to 3 channels.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        scales = config.num_scales if config.omega == "per_scale" else 1
        self.omega_y = nn.Parameter(torch.empty(scales, 3, config.num_kernels, 3))
        self.omega_x = nn.Parameter(torch.empty(scales, 3, config.num_kernels, 3))
        self.bias = nn.Parameter(torch.zeros(3)) if config.omega == "shared_with_bias" else None
        for omega in (self.omega_y, self.omega_x):
            if config.residual:
                # The untrained network is the identity but for less than a grey level, and gradients reach every layer.
                nn.init.normal_(omega, std=0.01 / (6 * config.num_kernels) ** 0.5)
            else:
                nn.init.xavier_uniform_(omega.data.view(scales * 3, -1))

    def forward(self, scale: int, gamma_B2KHW: Tensor, z_y_BK3HW: Tensor, z_x_BK3HW: Tensor) -> Tensor:
        scale = min(scale, len(self.omega_y) - 1)
        gamma_y, gamma_x = gamma_B2KHW[:, :, None].chunk(2, dim=1)
        from_y = (gamma_y * z_y_BK3HW).flatten(1, 2)
        from_x = (gamma_x * z_x_BK3HW).flatten(1, 2)
        mixed: Tensor = functional.conv2d(from_y, self.omega_y[scale].flatten(1)[:, :, None, None], self.bias)
        return mixed + functional.conv2d(from_x, self.omega_x[scale].flatten(1)[:, :, None, None])


class Block(nn.Module):
    """y_t, x_t (both filtered) and the state in; the next x and the next state out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.sram = SRAM(config)
        self.mixture = Mixture(config)

    def forward(
        self, scale: int, y_B3HW: Tensor, z_y_BK3HW: Tensor, z_x_BK3HW: Tensor, state: State | None
    ) -> tuple[Tensor, State | None]:
        gamma, state = self.sram(y_B3HW, state)
        mixed = self.mixture(scale, gamma, z_y_BK3HW, z_x_BK3HW)
        return y_B3HW + mixed if self.residual else mixed, state  # (9)


class ImageBlock(nn.Module):
    """The block of SRAM* (Table 4): the SRAM's maps become an image by a 1x1 convolution and a sigmoid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sram = SRAM(config)
        self.to_image = nn.Conv2d(2 * config.num_kernels, 3, kernel_size=1)
        start_xavier(self.to_image)

    def forward(self, y_B3HW: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        maps, state = self.sram(y_B3HW, state)
        return torch.sigmoid(self.to_image(maps)), state


class GKMNet(nn.Module):
    """Gaussian kernel mixture network (section 3): T scales from coarse to fine, R iterations of a block at each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        mixes = config.output == "mixture"
        self.gcm = gaussian_convolution_module(config) if mixes else None
        distinct = 1 if config.share_iterations else config.iterations_per_scale
        self.blocks = nn.ModuleList((Block if mixes else ImageBlock)(config) for _ in range(distinct))

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """Deblurred images in [0, 1], up to over- and undershoot, one per scale from coarse to fine.

        `blurred_B3HW` in [0, 1] has any height and width of at least 16. Scale t is ceil(H / 2^(T-t)) x
        ceil(W / 2^(T-t)) pixels, so the last result has the input's size. Raises ValueError for smaller images.
        """
        height, width = blurred_B3HW.shape[-2:]
        if min(height, width) < SMALLEST_SIDE_PIXELS:
            raise ValueError(
                f"the image has {height} x {width} pixels, but the network needs at least "
                f"{SMALLEST_SIDE_PIXELS} x {SMALLEST_SIDE_PIXELS}; give a larger one"
            )
        results: list[Tensor] = []
        x: Tensor | None = None
        state: State | None = None
        for scale, y in enumerate(pyramid(blurred_B3HW, self.config.num_scales)):
            x, state = self.iterate(scale, y, None if x is None else upsample(x), upsample_state(state))
            shrink = 2 ** (self.config.num_scales - 1 - scale)
            results.append(x[..., : -(-height // shrink), : -(-width // shrink)])
        return results

    def iterate(self, scale: int, y: Tensor, x: Tensor | None, state: State | None) -> tuple[Tensor, State | None]:
        """R iterations of equation (8) at one scale; `x` None stands for x_1 = y_1."""
        z_y = None if self.gcm is None else self.gcm(y)
        for iteration in range(self.config.iterations_per_scale):
            block = self.blocks[iteration % len(self.blocks)]
            if self.gcm is None:
                x, state = block(y, state)
            else:
                z_x = z_y if x is None else self.gcm(x)
                x, state = block(scale, y, z_y, z_x, state)
        assert x is not None
        return x, state


def pyramid(image_B3HW: Tensor, num_scales: int) -> list[Tensor]:
    """Versions of an image from coarse to fine by bilinear halving.

    The image is first extended at the bottom and the right, by repeating its last row and column, until the coarsest
    version suits the encoder. (Zeros there would leak into the pooled rows and columns of the triplet attention.)
    """
    multiple = STRIDE << (num_scales - 1)
    height, width = image_B3HW.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    images = [functional.pad(image_B3HW, (0, right, 0, bottom), mode="replicate") if bottom or right else image_B3HW]
    for _ in range(num_scales - 1):
        images.append(functional.interpolate(images[-1], scale_factor=0.5, mode="bilinear", antialias=True))
    return images[::-1]


def upsample(x_BCHW: Tensor) -> Tensor:
    """Twice as high and wide, bilinearly."""
    return functional.interpolate(x_BCHW, scale_factor=2, mode="bilinear", align_corners=False)


def upsample_state(state: State | None) -> State | None:
    return None if state is None else (upsample(state[0]), upsample(state[1]))
