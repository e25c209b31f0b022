"""An image in, its versions from coarse to fine out, as networks of several scales see it; and maps twice as large."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gkm.networks.ops.extension import extended

STRIDE = 4
"""Heights and widths must be multiples of this at every scale: encoders halve them twice."""


def pyramid(image_B3HW: Tensor, num_scales: int) -> list[Tensor]:
    """Versions of an image from coarse to fine by bilinear halving, the finest extended until the coarsest suits.

    The image is extended by repeating its last row and column. (Zeros there would leak into the pooled rows and columns
    of the triplet attention.)
    """
    images = [extended(image_B3HW, STRIDE << (num_scales - 1))]
    for _ in range(num_scales - 1):
        images.append(functional.interpolate(images[-1], scale_factor=0.5, mode="bilinear", antialias=True))
    return images[::-1]


def doubled(x_BCHW: Tensor) -> Tensor:
    """Twice as high and wide, bilinearly."""
    return functional.interpolate(x_BCHW, scale_factor=2, mode="bilinear", align_corners=False)
