"""An image in [0, 1] in, the image with additive Gaussian white noise out."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(image: Tensor, sigma_8bit: float, generator: torch.Generator) -> Tensor:
    """`image` plus white Gaussian noise of standard deviation `sigma_8bit` / 255.

    The sum is not clamped, neither in training nor in evaluation: clamping would bias the noise in highlights and
    shadows. With `sigma_8bit` = 0 the image is returned as it is and the generator is left alone.
    """
    if sigma_8bit == 0:
        return image
    noise = torch.randn(image.shape, generator=generator, dtype=image.dtype, device=generator.device)
    return image + noise.to(image.device) * (sigma_8bit / 255)
