"""An image of any size in, the same image extended at the bottom and the right out, so that it can be halved often."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def extended(image_BCHW: Tensor, multiple: int, least: int = 0) -> Tensor:
    """The image with its last row and column repeated until both sides are multiples and at least `least` pixels."""
    height, width = image_BCHW.shape[-2:]
    bottom, right = (max(least, -(-side // multiple) * multiple) - side for side in (height, width))
    return functional.pad(image_BCHW, (0, right, 0, bottom), mode="replicate") if bottom or right else image_BCHW
