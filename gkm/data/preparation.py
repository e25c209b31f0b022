"""A source in, a data set on disk out: whole or not at all, and only if it is not there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gkm import storage
from gkm.data.manifest import MANIFEST, Manifest, read_manifest
from gkm.data.photos import Split
from gkm.data.shards import Pair, refuse_to_replace, write_dataset
from gkm.data.sources import Source
from gkm.errors import InputError


@dataclass(frozen=True)
class Preparation:
    """The outcome: the manifest, and whether there was nothing to do."""

    manifest: Manifest
    already_there: bool


def prepare(
    source: Source, out: str | Path, *, overwrite: bool = False, progress: Callable[[], None] | None = None
) -> Preparation:
    """Writes the pairs of `source` to `out`, unless they are there already; calls `progress` after each pair.

    Raises InputError if `out` holds something else (and `overwrite` is not set) or if a photograph cannot be used.
    """
    if not overwrite and (manifest := find_prepared(source, out)):
        return Preparation(manifest, already_there=True)
    manifest = write_dataset(
        _pairs(source, progress),
        out,
        source.description,
        origin=source.origin,
        source_stamp=source.stamp,
        overwrite=overwrite,
    )
    return Preparation(manifest, already_there=False)


def find_prepared(source: Source, out: str | Path) -> Manifest | None:
    """The manifest at `out` if it was made from `source` as it is now; InputError if something else is there."""
    if storage.exists(storage.join(out, MANIFEST)):
        manifest = read_manifest(out)
        if (manifest.source, manifest.source_stamp) == (source.description, source.stamp):
            _refuse_missing_shards(out, manifest)
            return manifest
    refuse_to_replace(out, overwrite=False)
    return None


def _pairs(source: Source, progress: Callable[[], None] | None) -> Iterator[tuple[Split, Pair]]:
    for item in source.items:
        yield item.split, item.load()
        if progress:
            progress()


def _refuse_missing_shards(out: str | Path, manifest: Manifest) -> None:
    there = set(storage.list_files(out))
    for info in manifest.splits.values():
        for shard in info.shards:
            if shard.name not in there:
                raise InputError(
                    f"{storage.join(out, shard.name)}: is missing; prepare the data set again with --overwrite"
                )
