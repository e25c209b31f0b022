"""Pairs of photographs in, Parquet shards and a manifest out; and back again, verified.

A data set is a folder of shards and a `manifest.json`, written last. docs/data.md describes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gkm import storage
from gkm.data.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Manifest,
    PairEntry,
    ShardEntry,
    SplitInfo,
    is_of_dataset,
    read_manifest,
    refuse_leak,
)
from gkm.data.pair import Pair
from gkm.data.photos import SPLITS, Split
from gkm.data.shard_file import ShardWriter, write_shard
from gkm.data.shard_reader import read_shard
from gkm.errors import InputError

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "Manifest",
    "Pair",
    "PairEntry",
    "ShardEntry",
    "SplitInfo",
    "read_manifest",
    "read_shard",
    "refuse_to_replace",
    "shard_name",
    "write_dataset",
    "write_shard",
]

SHARD_BYTES = 128 * 2**20
"""A shard is closed when it holds this many bytes of decoded blurred and sharp pixels."""


def write_dataset(
    pairs: Iterable[tuple[Split, Pair]],
    out: str | Path,
    source: Mapping[str, object],
    *,
    origin: str = "",
    source_stamp: str = "",
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> Manifest:
    """Writes `pairs` as a data set to `out`, completely or not at all; holds one pair at a time.

    Raises InputError if there are no pairs, if a scene is in two splits, or if `out` holds something already
    (unless it is a data set and `overwrite` is set).
    """
    refuse_to_replace(out, overwrite)
    scenes: dict[str, Split] = {}
    with storage.new_folder(out, replace=overwrite, last=MANIFEST) as folder:
        writers = {split: _SplitWriter(Path(folder), split, shard_bytes) for split in SPLITS}
        for split, pair in pairs:
            refuse_leak(scenes, pair.scene, split)
            writers[split].add(pair)
        for writer in writers.values():
            writer.close()
        splits = {split: SplitInfo(shards=tuple(writer.shards)) for split, writer in writers.items() if writer.shards}
        if not splits:
            raise InputError(f"{origin or out}: there are no pairs to write; give photographs")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION, source=dict(source), origin=origin, source_stamp=source_stamp, splits=splits
        )
        storage.write_bytes(storage.join(folder, MANIFEST), manifest.to_json().encode())
    return manifest


def refuse_to_replace(out: str | Path, overwrite: bool) -> None:
    """InputError if something at `out` would be lost: anything at all, or with `overwrite` what no data set holds."""
    if not storage.is_remote(out) and Path(out).is_file():
        raise InputError(f"{out}: is a file; give a folder")
    names = storage.list_files(out)
    for name in names:
        if not is_of_dataset(name):
            raise InputError(f"{out}: holds {name}, which is not of a data set; give an empty or a new folder")
    if names and not overwrite:
        raise InputError(f"{out}: holds another data set; give another folder, or --overwrite to replace it")


def shard_name(split: Split, number: int) -> str:
    """Name of a shard within its data set."""
    return f"{split}-{number:05d}.parquet"


class _SplitWriter:
    """Fills one shard of a split after the other."""

    def __init__(self, folder: Path, split: Split, shard_bytes: int) -> None:
        self.shards: list[ShardEntry] = []
        self._folder = folder
        self._split = split
        self._shard_bytes = shard_bytes
        self._writer: ShardWriter | None = None

    @property
    def _name(self) -> str:
        return shard_name(self._split, len(self.shards))

    def add(self, pair: Pair) -> None:
        if self._writer is None:
            self._writer = ShardWriter(self._folder / self._name)
        self._writer.add(pair)
        if sum(2 * entry.photo_bytes for entry in self._writer.entries) >= self._shard_bytes:
            self.close()

    def close(self) -> None:
        if self._writer is not None:
            self.shards.append(self._writer.close(self._name))
            self._writer = None
