"""A block of a photograph in, bytes that compress well out; and back, without loss.

Three reversible steps, each a few passes over whole rows (docs/decisions/0002-shards.md measures them):

1. colour: red and blue become their differences from green;
2. prediction: each row becomes its difference from the row above;
3. planes: the red samples, then the green, then the blue; of 16-bit samples all low bytes, then all high bytes.

Differences wrap around, so they need no more bits than the samples. Shards compress the result with zstd.

Shape letters: 3 channels R, G, B; H rows, W columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from gkm.data.photos import Pixels

Planes: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""3 x height x width: the red samples of a photograph, then the green, then the blue."""
Buffer: TypeAlias = bytes | memoryview | npt.NDArray[np.uint8]

ENCODING = "green-up-planes-1"
"""Stands in every shard; another way to encode gets another name."""
BLOCK_PIXELS = 256
"""Side of a block; those at the right and lower border of a photograph are smaller."""


class Block(NamedTuple):
    """Place and size of a block within its photograph, in pixels."""

    first_row: int
    first_column: int
    rows: int
    columns: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The block as an index of rows and columns of its photograph."""
        return (
            slice(self.first_row, self.first_row + self.rows),
            slice(self.first_column, self.first_column + self.columns),
        )


def blocks_of(height: int, width: int) -> list[Block]:
    """The blocks of a photograph of that size, row after row of them."""
    return [
        Block(row, column, min(BLOCK_PIXELS, height - row), min(BLOCK_PIXELS, width - column))
        for row in range(0, height, BLOCK_PIXELS)
        for column in range(0, width, BLOCK_PIXELS)
    ]


def encode(block_HW3: Pixels) -> bytes:
    """The encoded samples of `block_HW3`, uint8 or uint16: as many bytes as it has itself."""
    planes_3HW: npt.NDArray[Any] = np.array(block_HW3.transpose(2, 0, 1), order="C")
    planes_3HW[0] -= planes_3HW[1]
    planes_3HW[2] -= planes_3HW[1]
    residual_3HW = planes_3HW.copy()
    residual_3HW[:, 1:] -= planes_3HW[:, :-1]
    if residual_3HW.dtype.itemsize == 1:
        return residual_3HW.tobytes()
    return b"".join(byte.astype(np.uint8).tobytes() for byte in (residual_3HW & 0xFF, residual_3HW >> 8))


def decode(data: Buffer, out_3HW: Planes) -> None:
    """Decodes what `encode` gave into `out_3HW`, which has the size and the type of the block.

    Raises ValueError if `data` has not the number of bytes of such a block.
    """
    residual_3HW = _samples(np.frombuffer(data, np.uint8), out_3HW.dtype).reshape(out_3HW.shape)
    for residual_HW, out_HW in zip(residual_3HW, out_3HW, strict=True):
        np.add.accumulate(residual_HW, axis=0, dtype=out_HW.dtype, out=out_HW)
    out_3HW[0] += out_3HW[1]
    out_3HW[2] += out_3HW[1]


def _samples(data: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if dtype.itemsize == 1:
        return data
    low, high = data.reshape(2, -1)
    samples = high.astype(np.uint16)  # in place from here on: this is the slowest step of decoding 16 bits
    samples <<= 8
    samples |= low
    return samples
