"""Photographs of 8 or 16 bits in, tensors in [0,1] out, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gkm.errors import InputError

STRIP_PIXELS = 4_000_000


def to_input(photos_HW3: Sequence[npt.NDArray[Any]]) -> Tensor:
    """What a network sees, photographs of uint8 or uint16, as [1,C,H,W] in [0,1]: one after the other as channels.

    Raises InputError where their sizes differ.
    """
    sizes = [f"{photo_HW3.shape[1]}x{photo_HW3.shape[0]}" for photo_HW3 in photos_HW3]
    if len(set(sizes)) > 1:
        raise InputError(f"the views are {' and '.join(sizes)} pixels; give two views of one photograph, of one size")
    height, width = photos_HW3[0].shape[:2]
    input_1CHW = torch.empty(1, 3 * len(photos_HW3), height, width)
    for rows in row_strips(height, width):  # a large photograph is in memory once
        for index, photo_HW3 in enumerate(photos_HW3):
            input_1CHW[:, 3 * index : 3 * index + 3, rows] = to_tensor(photo_HW3[rows])
    return input_1CHW


def row_strips(height: int, width: int) -> list[slice]:
    """The rows of a photograph in strips of at most STRIP_PIXELS pixels, or of one row."""
    rows = max(STRIP_PIXELS // width, 1)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def to_tensor(image_HW3: npt.NDArray[Any]) -> Tensor:
    """A photograph of uint8 or uint16 as [1,3,H,W] float32 in [0,1]."""
    if image_HW3.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a photograph has 8 or 16 bits a channel, but this one is {image_HW3.dtype}")
    levels = np.float32(np.iinfo(image_HW3.dtype).max)
    channels_first = np.ascontiguousarray(image_HW3.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(channels_first / levels)[None]


def to_8bit(image_13HW: Tensor) -> npt.NDArray[np.uint8]:
    """[1,3,H,W] in [0,1] as a photograph of uint8, clamped and rounded."""
    levels_HW3 = (image_13HW[0].float().clamp(0, 1) * 255).round().permute(1, 2, 0)
    return np.ascontiguousarray(levels_HW3.to(torch.uint8).cpu().numpy())


def refuse_other(restored_13HW: Tensor, input_1CHW: Tensor, photograph: str) -> None:
    """Raises an error naming the `photograph` where the result is no picture of its input's size.

    ValueError for another shape, FloatingPointError for values that are not finite.
    """
    shape = (1, 3, *input_1CHW.shape[-2:])
    if restored_13HW.shape != shape:
        raise ValueError(f"{photograph}: the restored shape is {list(restored_13HW.shape)}, not {list(shape)}")
    if not bool(torch.isfinite(restored_13HW).all()):
        raise FloatingPointError(f"{photograph}: the restored photograph has values that are not finite")
