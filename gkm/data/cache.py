"""A data set in, its photographs out, from the node's own disk where there is room for them.

What does not fit into the cache is read block by block from where it lies: slower, the same pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from gkm.data.cached_shard import CachedShard
from gkm.data.manifest import Manifest, PairEntry, read_manifest
from gkm.data.node_cache import NodeCache, default_cache
from gkm.data.pair import Pair, Sides
from gkm.data.photos import SPLITS, Split
from gkm.data.streaming import BUFFER_BYTES, BlockBuffer, StreamedShard
from gkm.errors import InputError

__all__ = ["CachedSplit", "default_cache", "open_split"]


class CachedSplit:
    """The pairs of one split, read-only: nothing is read until pixels are touched.

    Cheap to pickle: it travels as its place and is opened again where it arrives. Safe in threads.
    """

    def __init__(
        self,
        data: str | Path,
        split: Split,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        """See `open_split`."""
        self.manifest: Manifest = read_manifest(data)
        self.split: Split = split
        self._arguments = (str(data), split, cache, cache_bytes, buffer_bytes)
        if split not in self.manifest.splits:
            there = ", ".join(name for name in SPLITS if name in self.manifest.splits)
            raise InputError(
                f"{data}: has no {split} photographs, only {there}; add some and prepare the data set again"
            )
        shards = self.manifest.splits[split].shards
        self.entries: tuple[PairEntry, ...] = self.manifest.splits[split].entries
        node_cache = NodeCache(cache, cache_bytes)
        buffer = BlockBuffer(buffer_bytes)
        self._pairs: list[tuple[CachedShard | StreamedShard, int]] = []
        self.streamed = 0
        """How many of the pairs are not in the cache."""
        for shard, cached in zip(shards, node_cache.open(data, shards), strict=True):
            self._pairs += [(cached or StreamedShard(data, shard, buffer), pair) for pair in range(len(shard.pairs))]
            self.streamed += 0 if cached else len(shard.pairs)
        if self.streamed and cache_bytes != 0:
            logging.getLogger(__name__).warning(
                "%s: %d of %d %s pairs do not fit into the cache %s; each of their crops is read where they lie, "
                "a larger cache would be faster",
                *(data, self.streamed, len(self), split, node_cache.folder),
            )

    @property
    def scenes(self) -> tuple[str, ...]:
        """Scenes of the split, sorted, each once."""
        return self.manifest.splits[self.split].scenes

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        entry = self.entries[index]
        blurred_3HW, sharp_3HW = self.window(index, 0, 0, entry.height, entry.width)
        return Pair(
            entry.scene, entry.name, blurred_3HW.transpose(1, 2, 0), sharp_3HW.transpose(1, 2, 0), label=entry.label
        )

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def window(self, index: int, top: int, left: int, height: int, width: int) -> Sides:
        """A window of both photographs of a pair; InputError if it has to be read and is damaged."""
        shard, pair = self._pairs[index]
        return shard.window(pair, top, left, height, width)

    def __reduce__(self) -> tuple[object, ...]:
        return CachedSplit, self._arguments


def open_split(
    data: str | Path,
    split: Split,
    cache: str | Path | None = None,
    *,
    cache_bytes: int | None = None,
    buffer_bytes: int = BUFFER_BYTES,
) -> CachedSplit:
    """The pairs of `split` of the data set in `data`, local or in S3.

    The first caller on a node verifies and decodes the shards, the others wait for it and share its files.

    Args:
        cache: folder on the node's own disk; left out: `default_cache()`.
        cache_bytes: what the folder may hold, of all data sets; 0: nothing is cached. Left out: what the disk has.
        buffer_bytes: memory for blocks of the pairs that are not cached.

    Raises InputError if there is no such data set or split, if a shard differs from the manifest, or if the cache
    folder cannot be used.
    """
    return CachedSplit(data, split, cache, cache_bytes, buffer_bytes)
