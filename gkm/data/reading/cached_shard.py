"""A shard in, its decoded photographs in a memory-mapped file out.

The file holds the photographs of the shard's pairs one after the other, blurred, sharp and, where they are wanted, the
left and right views, colour by colour, each starting at a multiple of `ALIGNMENT` bytes. The manifest alone tells where
each lies.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gkm.data.dataset.manifest import PairEntry, ShardEntry
from gkm.data.dataset.pair import Window
from gkm.data.dataset.shard_file import SIDES
from gkm.data.dataset.shard_reader import load_shard

ALIGNMENT = 64


class CachedShard:
    """The photographs of a shard in the node's cache, read-only; nothing is read until pixels are touched."""

    def __init__(self, descriptor: int, shard: ShardEntry, columns: Sequence[str] = SIDES) -> None:
        """Maps an open file, which stays open (and locked, if it is) as long as anybody looks at its pixels."""
        mapped = mmap.mmap(descriptor, decoded_bytes(shard, columns), access=mmap.ACCESS_READ)
        self._pairs = list(_photographs(np.frombuffer(mapped, np.uint8), shard, columns))

    def window(self, pair: int, top: int, left: int, height: int, width: int) -> Window:
        """A window of all photographs of a pair, in the order of the columns: nothing is copied."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        return tuple(photo_3HW[:, rows, columns] for photo_3HW in self._pairs[pair])


def decoded_bytes(shard: ShardEntry, columns: Sequence[str] = SIDES) -> int:
    """Size of the file with these photographs of a shard."""
    return sum(len(columns) * _room(entry) for entry in shard.pairs)


def fill(path: Path, data: str | Path, shard: ShardEntry, columns: Sequence[str] = SIDES) -> None:
    """Verifies a shard and decodes `columns` into the file `path`, which has its size already.

    All is on the disk when this returns.

    Raises InputError if the shard is not the manifest's.
    """
    reader = load_shard(data, shard)
    pixels = np.memmap(path, dtype=np.uint8, mode="r+")
    for index, photographs in enumerate(_photographs(pixels, shard, columns)):
        reader.decode(index, photographs, columns)
    pixels.flush()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _room(entry: PairEntry) -> int:
    return -(-entry.photo_bytes // ALIGNMENT) * ALIGNMENT


def _photographs(pixels: npt.NDArray[np.uint8], shard: ShardEntry, columns: Sequence[str]) -> Iterator[Window]:
    start = 0
    for entry in shard.pairs:
        room = _room(entry)
        yield tuple(_planes(pixels, start + room * place, entry) for place in range(len(columns)))
        start += room * len(columns)


def _planes(pixels: npt.NDArray[np.uint8], start: int, entry: PairEntry) -> npt.NDArray[Any]:
    photo = pixels[start : start + entry.photo_bytes]
    return photo.view("<u2" if entry.bits == 16 else np.uint8).reshape(3, entry.height, entry.width)
