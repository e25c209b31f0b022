"""Shards in, memory-mapped pixels on the node's own disk out; verified once, shared by all processes of a node.

A shard is decoded into one flat file: the photographs of its pairs one after the other, blurred then sharp, each
starting at a multiple of `ALIGNMENT` bytes. The manifest alone tells where each lies.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gkm import storage
from gkm.data.photos import SPLITS, Pixels, Split
from gkm.data.shards import Manifest, Pair, PairEntry, ShardEntry, read_manifest, read_shard
from gkm.errors import InputError

ALIGNMENT = 64


class CachedSplit:
    """The pairs of one split, read-only and memory-mapped: `split[i]` reads nothing until pixels are touched.

    Cheap to pickle: it travels as its place and is mapped again where it arrives.
    """

    def __init__(self, data: str | Path, split: Split, cache: Path, manifest: Manifest) -> None:
        self.data = str(data)
        self.split: Split = split
        self.cache = cache
        self.manifest = manifest
        self.entries: tuple[PairEntry, ...] = manifest.splits[split].entries
        folder = cache / manifest.fingerprint
        self._pairs = [pair for shard in manifest.splits[split].shards for pair in _mapped(data, shard, folder)]

    @property
    def scenes(self) -> tuple[str, ...]:
        """Scenes of the split, sorted, each once."""
        return self.manifest.splits[self.split].scenes

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        return self._pairs[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs)

    def __reduce__(self) -> tuple[object, ...]:
        return open_split, (self.data, self.split, self.cache)


def open_split(data: str | Path, split: Split, cache: str | Path | None = None) -> CachedSplit:
    """The pairs of `split` of the data set in `data`, through the cache folder `cache`.

    The first caller on a node decodes and verifies the shards, the others wait for it and share its files.
    Raises InputError if there is no such data set or split, or if a shard differs from the manifest.
    """
    manifest = read_manifest(data)
    if split not in manifest.splits:
        there = ", ".join(name for name in SPLITS if name in manifest.splits)
        raise InputError(f"{data}: has no {split} photographs, only {there}; add some and prepare the data set again")
    return CachedSplit(data, split, Path(cache) if cache is not None else default_cache(), manifest)


def default_cache() -> Path:
    """A folder of this user's on the node's own disk."""
    return Path(tempfile.gettempdir()) / f"gkm-cache-{os.getuid()}"


def _mapped(data: str | Path, shard: ShardEntry, folder: Path) -> Iterator[Pair]:
    """The pairs of a shard, mapped from its decoded file, which is made first if need be."""
    path = folder / f"{shard.sha256[:16]}.pixels"
    places, total_bytes = _layout(shard)
    if not _complete(path, total_bytes):
        with _locked(path.with_suffix(".lock")):
            if not _complete(path, total_bytes):
                _fill(path, data, shard, places, total_bytes)
    pixels = np.memmap(path, dtype=np.uint8, mode="r")
    for entry, (blurred, sharp) in zip(shard.pairs, places, strict=True):
        yield Pair(entry.scene, entry.name, _view(pixels, blurred, entry), _view(pixels, sharp, entry))


def _layout(shard: ShardEntry) -> tuple[list[tuple[int, int]], int]:
    """Offsets of the blurred and the sharp photograph of every pair, and the size of the file, in bytes."""
    places, end = [], 0
    for entry in shard.pairs:
        room = -(-entry.photo_bytes // ALIGNMENT) * ALIGNMENT
        places.append((end, end + room))
        end += 2 * room
    return places, end


def _complete(path: Path, total_bytes: int) -> bool:
    """Whether the decoded file is there; it gets its name only once it is verified and whole."""
    try:
        return path.stat().st_size == total_bytes
    except (FileNotFoundError, NotADirectoryError):
        return False


def _fill(path: Path, data: str | Path, shard: ShardEntry, places: list[tuple[int, int]], total_bytes: int) -> None:
    for left_over in path.parent.glob(f".{path.name}.*"):  # of a process that was killed while it held the lock
        left_over.unlink()
    with storage.replacing(path) as partial, partial.open("wb") as file:
        for pair, offsets in zip(read_shard(data, shard), places, strict=True):
            for photo, offset in zip((pair.blurred_HW3, pair.sharp_HW3), offsets, strict=True):
                file.seek(offset)
                file.write(photo.tobytes())
        file.truncate(total_bytes)
        file.flush()
        os.fsync(file.fileno())


def _view(pixels: npt.NDArray[np.uint8], offset: int, entry: PairEntry) -> Pixels:
    photo = pixels[offset : offset + entry.photo_bytes]
    return photo.view("<u2" if entry.bits == 16 else np.uint8).reshape(entry.height, entry.width, 3)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock between the processes of this node; the kernel frees it however its holder ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be used as cache ({(error.strerror or str(error)).lower()}); give another folder"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
