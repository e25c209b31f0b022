"""Shards in, windows of their photographs out, block by block: for data sets larger than the node's disk.

Only the blocks that a window touches are read and decoded; those read last stay in a bounded piece of memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from gkm.data.dataset.encoding import Block, decode
from gkm.data.dataset.manifest import ShardEntry
from gkm.data.dataset.pair import Window
from gkm.data.dataset.shard_file import SIDES
from gkm.data.dataset.shard_reader import ShardReader, empty_planes, open_shard

BUFFER_BYTES = 2**28


class BlockBuffer:
    """Decoded blocks, the most recently used ones up to `limit_bytes`; for all shards and threads of a split."""

    def __init__(self, limit_bytes: int = BUFFER_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._blocks: OrderedDict[tuple[str, int], Window] = OrderedDict()
        self._lock = Lock()

    def get(self, shard: ShardEntry, number: int) -> Window | None:
        """A block, if it is here."""
        with self._lock:
            if (block := self._blocks.get((shard.sha256, number))) is not None:
                self._blocks.move_to_end((shard.sha256, number))
            return block

    def put(self, shard: ShardEntry, number: int, block: Window) -> None:
        """Keeps a block until others need its place."""
        with self._lock:
            if (shard.sha256, number) in self._blocks:
                return
            self._blocks[shard.sha256, number] = block
            self.held_bytes += _size(block)
            while self.held_bytes > self.limit_bytes:
                self.held_bytes -= _size(self._blocks.popitem(last=False)[1])


class StreamedShard:
    """The photographs of a shard that stays where it is; it is opened when a pixel is asked for. Safe in threads."""

    def __init__(
        self, data: str | Path, shard: ShardEntry, buffer: BlockBuffer, columns: Sequence[str] = SIDES
    ) -> None:
        self._data = data
        self._shard = shard
        self._columns = columns
        self._buffer = buffer
        self._reader: ShardReader | None = None
        self._lock = Lock()

    def window(self, pair: int, top: int, left: int, height: int, width: int) -> Window:
        """A window of all photographs of a pair, in the order of the columns; InputError if a block is damaged."""
        entry = self._shard.pairs[pair]
        reader = self._opened()
        touched = {
            number: block
            for number, block in reader.blocks(pair)
            if _overlap(block.first_row, block.rows, top, height)
            and _overlap(block.first_column, block.columns, left, width)
        }
        window = tuple(empty_planes(entry.bits, height, width) for _ in self._columns)
        for number, parts in self._decoded(reader, entry.bits, touched).items():
            block = touched[number]
            to_rows, from_rows = _shared(top, height, block.first_row, block.rows)
            to_columns, from_columns = _shared(left, width, block.first_column, block.columns)
            for whole_3HW, part_3HW in zip(window, parts, strict=True):
                whole_3HW[:, to_rows, to_columns] = part_3HW[:, from_rows, from_columns]
        return window

    def _opened(self) -> ShardReader:
        with self._lock:
            if self._reader is None:
                self._reader = open_shard(self._data, self._shard)
            return self._reader

    def _decoded(self, reader: ShardReader, bits: int, blocks: Mapping[int, Block]) -> dict[int, Window]:
        """The blocks, from memory or else read in one go."""
        held = {number: self._buffer.get(self._shard, number) for number in blocks}
        decoded = {number: parts for number, parts in held.items() if parts is not None}
        missing = [number for number in blocks if number not in decoded]
        if missing:
            for number, encoded in zip(missing, reader.encoded(missing, self._columns), strict=True):
                parts = tuple(empty_planes(bits, blocks[number].rows, blocks[number].columns) for _ in encoded)
                for data, planes_3HW in zip(encoded, parts, strict=True):
                    decode(data, planes_3HW)
                self._buffer.put(self._shard, number, parts)
                decoded[number] = parts
        return decoded


def _overlap(first: int, size: int, other_first: int, other_size: int) -> bool:
    return first < other_first + other_size and other_first < first + size


def _shared(first: int, size: int, other_first: int, other_size: int) -> tuple[slice, slice]:
    """What two stretches of an axis have in common, counted from the start of either."""
    start, stop = max(first, other_first), min(first + size, other_first + other_size)
    return slice(start - first, stop - first), slice(start - other_first, stop - other_first)


def _size(block: Window) -> int:
    return sum(planes_3HW.nbytes for planes_3HW in block)
