"""A data set in, what in it differs from its manifest out; every byte and every pixel is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gkm import storage
from gkm.data.dataset.manifest import MANIFEST, Manifest, PairEntry, ShardEntry, is_of_dataset, read_manifest
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import photograph_sha256
from gkm.data.dataset.shard_reader import read_shard
from gkm.errors import InputError


def verify(data: str | Path, progress: Callable[[int], object] = lambda _: None) -> tuple[Manifest, list[str]]:
    """The manifest of a data set, and one sentence for each shard, pair or file that is not as it says.

    `progress` is told how many more pairs were looked at. InputError if the manifest itself is missing, damaged or
    edited.
    """
    manifest = read_manifest(data)
    there = storage.list_files(data)
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    names = {shard.name for shard in shards}
    found = [
        f"{storage.join(data, name)}: is no part of this data set"
        for name in there
        if name.endswith(".parquet") and name not in names and is_of_dataset(name)
    ]
    for shard in shards:
        if shard.name in there:
            found += _differences(data, shard)
        else:
            found.append(f"{storage.join(data, shard.name)}: is missing")
        progress(len(shard.pairs))
    return manifest, found


def verified(data: str | Path, progress: Callable[[int], object] = lambda _: None) -> str:
    """A sentence for a data set that is as it was written; InputError names up to ten things that are not."""
    manifest, found = verify(data, progress)
    if found:
        more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
        raise InputError(
            f"{data}: differs from its manifest: {'; '.join(found[:10])}{more}; copy the data set again, or prepare it "
            "again with --overwrite"
        )
    pairs = sum(info.pairs for info in manifest.splits.values())
    return f"{data}: all {pairs} pairs are as they were written, fingerprint {manifest.fingerprint}"


def _differences(data: str | Path, shard: ShardEntry) -> Iterator[str]:
    try:
        for entry, pair in zip(shard.pairs, read_shard(data, shard), strict=True):
            for what in _unlike(entry, pair):
                yield f"{storage.join(data, shard.name)}: {what} of {entry.scene}/{entry.name} differs from {MANIFEST}"
    except InputError as error:
        yield str(error).partition(";")[0]


def _unlike(entry: PairEntry, pair: Pair) -> Iterator[str]:
    if (pair.scene, pair.name) != (entry.scene, entry.name):
        yield "the name"
    for column, photo_HW3 in pair.photographs():
        if photograph_sha256(photo_HW3) != getattr(entry, f"{column}_sha256"):
            yield f"the {column} photograph"
