"""An image of any size in, the same image extended at the bottom and the right out, so that it can be halved often."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

SMALLEST_SIDE_PIXELS = 16
"""Least height and width of an image that a network takes."""


def extended(image_BCHW: Tensor, multiple: int, least: int = 0) -> Tensor:
    """The image with its last row and column repeated until both sides are multiples and at least `least` pixels.

    Raises ValueError for an image of fewer than 16 rows or columns.
    """
    height, width = image_BCHW.shape[-2:]
    if min(height, width) < SMALLEST_SIDE_PIXELS:
        raise ValueError(
            f"the image has {height} x {width} pixels, but the network needs at least "
            f"{SMALLEST_SIDE_PIXELS} x {SMALLEST_SIDE_PIXELS}; give a larger one"
        )
    bottom, right = (max(least, -(-side // multiple) * multiple) - side for side in (height, width))
    return functional.pad(image_BCHW, (0, right, 0, bottom), mode="replicate") if bottom or right else image_BCHW
