"""A data set in, its photographs out, from the node's own disk where there is room for them.

What does not fit into the cache is read block by block from where it lies: slower, the same pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from gkm.config import Input
from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.dataset.manifest import Manifest, PairEntry
from gkm.data.dataset.pair import Pair, Window
from gkm.data.dataset.shard_file import columns_for
from gkm.data.photos import Split
from gkm.data.reading.cached_shard import CachedShard
from gkm.data.reading.node_cache import NodeCache
from gkm.data.reading.streaming import BUFFER_BYTES, BlockBuffer, StreamedShard

__all__ = ["CachedSplit", "NodeCache", "open_split"]


class CachedSplit:
    """The pairs of one split, read-only: nothing is read until pixels are touched.

    Cheap to pickle: it travels as its place and is opened again where it arrives. Safe in threads.
    """

    def __init__(
        self,
        data: Dataset | str | Path,
        split: Split,
        cache: NodeCache,
        buffer_bytes: int = BUFFER_BYTES,
        inputs: Sequence[Input] = ("blurred",),
    ) -> None:
        """See `open_split`."""
        dataset = open_dataset(data)
        data = dataset.place
        self.manifest: Manifest = dataset.manifest
        self.split: Split = split
        self.inputs: tuple[Input, ...] = tuple(inputs)
        """What the network that this is read for sees."""
        self.columns = columns_for(inputs)
        """The photographs of each pair, in the order of a window."""
        self._arguments = (data, split, cache, buffer_bytes, self.inputs)
        dataset.require(split, inputs=inputs)
        shards = self.manifest.splits[split].shards
        self.entries: tuple[PairEntry, ...] = self.manifest.splits[split].entries
        buffer = BlockBuffer(buffer_bytes)
        self._pairs: list[tuple[CachedShard | StreamedShard, int]] = []
        self.streamed = 0
        """How many of the pairs are not in the cache."""
        for shard, cached in zip(shards, cache.open(data, shards, self.columns), strict=True):
            source = cached or StreamedShard(data, shard, buffer, self.columns)
            self._pairs += [(source, pair) for pair in range(len(shard.pairs))]
            self.streamed += 0 if cached else len(shard.pairs)
        if self.streamed and cache.limit_bytes != 0:
            logging.getLogger(__name__).warning(
                "%s: %d of %d %s pairs do not fit into the cache %s; each of their crops is read where they lie, "
                "a larger cache would be faster",
                *(data, self.streamed, len(self), split, cache.folder),
            )

    @property
    def scenes(self) -> tuple[str, ...]:
        """Scenes of the split, sorted, each once."""
        return self.manifest.splits[self.split].scenes

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        entry = self.entries[index]
        window = zip(self.columns, self.window(index, 0, 0, entry.height, entry.width), strict=True)
        photos = {f"{column}_HW3": photo_3HW.transpose(1, 2, 0) for column, photo_3HW in window}
        return Pair(entry.scene, entry.name, label=entry.label, **photos)

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def window(self, index: int, top: int, left: int, height: int, width: int) -> Window:
        """The same window of each of `columns` of a pair; InputError if it has to be read and is damaged."""
        shard, pair = self._pairs[index]
        return shard.window(pair, top, left, height, width)

    def __reduce__(self) -> tuple[object, ...]:
        return CachedSplit, self._arguments


def open_split(
    data: Dataset | str | Path,
    split: Split,
    cache: NodeCache | str | Path | None = None,
    *,
    inputs: Sequence[Input] = ("blurred",),
    buffer_bytes: int = BUFFER_BYTES,
) -> CachedSplit:
    """The pairs of `split` of a data set: one that is open, or the one at a place, local or in S3.

    The first caller on a node verifies and decodes the shards, the others wait for it and share its files.

    Args:
        cache: where this node keeps decoded photographs, and how many; a folder is a cache without a limit, None the
            node's `default_cache()`.
        inputs: what a network will see; the dual-pixel views are read only where they are among them.
        buffer_bytes: memory for blocks of the pairs that are not cached.

    Raises InputError if there is no such data set or split, if it lacks some of the `inputs`, if a shard differs from
    the manifest, or if the cache folder cannot be used.
    """
    return CachedSplit(data, split, cache if isinstance(cache, NodeCache) else NodeCache(cache), buffer_bytes, inputs)
