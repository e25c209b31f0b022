"""A shard in, its photographs out, whole or block by block, nothing unverified."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gkm import storage
from gkm.data.dataset.encoding import Block, Planes, blocks_of, decode
from gkm.data.dataset.manifest import ShardEntry
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import CHECKS, PHOTOGRAPHS, SIDES
from gkm.errors import InputError
from gkm.storage.parts import Parts


class ShardReader:
    """The blocks of one shard; each is verified when it is read. May be used from several threads."""

    def __init__(self, location: str, shard: ShardEntry, footer: bytes, source: Callable[[], object]) -> None:
        """For `open_shard` and `load_shard`: `source` gives the file as pyarrow reads it."""
        self.location = location
        self.shard = shard
        self._source = source
        self._metadata = pq.read_metadata(pa.BufferReader(footer))
        self._checks = json.loads(self._metadata.metadata[CHECKS.encode()])
        self._first_groups = [0, *accumulate(len(blocks_of(entry.height, entry.width)) for entry in shard.pairs)]
        if self._metadata.num_row_groups != self._first_groups[-1]:
            raise _damaged(location, "it holds other photographs than the manifest says")

    def blocks(self, pair: int) -> Iterator[tuple[int, Block]]:
        """The blocks of a pair, each with its number in the shard."""
        entry = self.shard.pairs[pair]
        return enumerate(blocks_of(entry.height, entry.width), start=self._first_groups[pair])

    def encoded(self, numbers: Sequence[int], columns: Sequence[str] = SIDES) -> list[list[pa.Buffer]]:
        """Encoded photographs (`columns`) of the blocks `numbers`; InputError if they are not what was written."""
        try:
            file = pq.ParquetFile(self._source(), metadata=self._metadata)
            table = file.read_row_groups(list(numbers), columns=list(columns))
            blocks = [[table.column(name)[row].as_buffer() for name in columns] for row in range(len(numbers))]
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.location, f"a block cannot be read: {error}") from None
        for number, block in zip(numbers, blocks, strict=True):
            for name, data in zip(columns, block, strict=True):
                if data is None or zlib.crc32(data) != self._checks[number][PHOTOGRAPHS.index(name)]:
                    raise _damaged(self.location, "a block differs from what was written")
        return blocks

    def decode(self, pair: int, outs_3HW: Sequence[Planes], columns: Sequence[str] = SIDES) -> None:
        """Decodes whole photographs of a pair: each of `columns` into its place in `outs_3HW`."""
        for number, block in self.blocks(pair):
            for data, out_3HW in zip(self.encoded([number], columns)[0], outs_3HW, strict=True):
                decode(data, out_3HW[:, *block.window])


def open_shard(data: str | Path, shard: ShardEntry) -> ShardReader:
    """A shard whose blocks are read when they are asked for; InputError if its footer is not the manifest's."""
    location = storage.join(data, shard.name)
    footer = storage.read_range(location, shard.bytes - shard.footer_bytes, shard.footer_bytes)
    if hashlib.sha256(footer).hexdigest() != shard.footer_sha256:
        raise _damaged(location, "the sha256 of its footer differs from the manifest's")
    return ShardReader(location, shard, footer, lambda: Parts(partial(storage.read_range, location), shard.bytes))


def load_shard(data: str | Path, shard: ShardEntry) -> ShardReader:
    """A shard read and verified as a whole; InputError if it is not the manifest's."""
    location = storage.join(data, shard.name)
    content = storage.read_bytes(location)
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise _damaged(location, "its sha256 differs from the manifest's")
    return ShardReader(location, shard, content[-shard.footer_bytes :], lambda: pa.BufferReader(content))


def read_shard(data: str | Path, shard: ShardEntry) -> Iterator[Pair]:
    """The pairs of a shard, one at a time, after its hash was checked; InputError names a shard that was changed."""
    reader = load_shard(data, shard)
    for index, entry in enumerate(shard.pairs):
        columns = [name for name in PHOTOGRAPHS if getattr(entry, f"{name}_sha256")]
        planes = {name: empty_planes(entry.bits, entry.height, entry.width) for name in columns}
        reader.decode(index, list(planes.values()), columns)
        photos = {f"{name}_HW3": photo_3HW.transpose(1, 2, 0) for name, photo_3HW in planes.items()}
        yield Pair(entry.scene, entry.name, label=entry.label, **photos)


def empty_planes(bits: int, height: int, width: int) -> Planes:
    """Room for a photograph, or for a part of it."""
    shape = (3, height, width)
    return np.empty(shape, np.uint16) if bits == 16 else np.empty(shape, np.uint8)


def _damaged(location: str, reason: str) -> InputError:
    return InputError(
        f"{location}: is damaged, {reason}; copy the data set again, or prepare it again with --overwrite"
    )
