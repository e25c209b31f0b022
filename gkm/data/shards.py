"""Pairs of photographs in, Parquet shards and a manifest out; and back again, verified.

A data set is a folder of shards and a `manifest.json`, written last. docs/data.md describes both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gkm import storage
from gkm.data.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Manifest,
    PairEntry,
    ShardEntry,
    SplitInfo,
    read_manifest,
    refuse_leak,
)
from gkm.data.photos import SPLITS, Pixels, Split
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
    "write_dataset",
]

BAND_ROWS = 64
"""Rows of a photograph kept in one row of a shard."""
_DATASET_FILE = re.compile(rf"{re.escape(MANIFEST)}|({'|'.join(SPLITS)})-\d{{5}}\.parquet")
SHARD_BYTES = 128 * 2**20
"""A shard is closed when it holds this many bytes of pixels."""

SCHEMA = pa.schema(
    [
        pa.field("scene", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("bits", pa.uint8(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("first_row", pa.int32(), nullable=False),
        pa.field("blurred", pa.binary(), nullable=False),
        pa.field("sharp", pa.binary(), nullable=False),
    ],
    metadata={"gkm.schema_version": str(SCHEMA_VERSION)},
)


@dataclass(frozen=True)
class Pair:
    """A blurred photograph and its sharp partner, height x width x 3, both uint8 or both uint16."""

    scene: str
    name: str
    blurred_HW3: Pixels  # noqa: N815
    sharp_HW3: Pixels  # noqa: N815

    def __post_init__(self) -> None:
        for photo in (self.blurred_HW3, self.sharp_HW3):
            if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype not in (np.uint8, np.uint16):
                raise InputError(
                    f"{self.scene}/{self.name}: has the shape {photo.shape} of {photo.dtype}; "
                    "photographs are height x width x 3 with 8 or 16 bits"
                )
        if self.blurred_HW3.shape != self.sharp_HW3.shape:
            (height, width), (sharp_height, sharp_width) = self.blurred_HW3.shape[:2], self.sharp_HW3.shape[:2]
            raise InputError(
                f"{self.scene}/{self.name}: the blurred photograph is {width}x{height} pixels, the sharp one "
                f"{sharp_width}x{sharp_height}; crop or resize them to one size"
            )
        if self.blurred_HW3.dtype != self.sharp_HW3.dtype:
            raise InputError(
                f"{self.scene}/{self.name}: the blurred photograph is {self.blurred_HW3.dtype}, the sharp one "
                f"{self.sharp_HW3.dtype}; save both with the same number of bits"
            )


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
    with storage.new_folder(out, replace=overwrite) as folder:
        writers = {split: _SplitWriter(Path(folder), split, shard_bytes) for split in SPLITS}
        try:
            for split, pair in pairs:
                refuse_leak(scenes, pair.scene, split)
                writers[split].add(pair)
        finally:
            for writer in writers.values():
                writer.close()
        splits = {split: SplitInfo(shards=tuple(writer.shards)) for split, writer in writers.items() if writer.shards}
        if not splits:
            raise InputError(f"{origin or out}: there are no pairs to write; give photographs")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION, source=dict(source), origin=origin, source_stamp=source_stamp, splits=splits
        )
        content = {"fingerprint": manifest.fingerprint, **manifest.model_dump(mode="json")}
        storage.write_bytes(storage.join(folder, MANIFEST), (json.dumps(content, indent=1) + "\n").encode())
    return manifest


def refuse_to_replace(out: str | Path, overwrite: bool) -> None:
    """InputError if something at `out` would be lost: anything at all, or with `overwrite` what no data set holds."""
    path = storage.local_path(out)
    if path.is_file():
        raise InputError(f"{out}: is a file; give a folder")
    if not path.exists() or not any(path.iterdir()):
        return
    for found in path.iterdir():
        if not _DATASET_FILE.fullmatch(found.name):
            raise InputError(f"{out}: holds {found.name}, which is not of a data set; give an empty or a new folder")
    if not overwrite:
        raise InputError(f"{out}: holds another data set; give another folder, or --overwrite to replace it")


def read_shard(data: str | Path, shard: ShardEntry) -> Iterator[Pair]:
    """The pairs of a shard, one at a time, after its hash was checked; InputError names a shard that was changed."""
    location = storage.join(data, shard.name)
    content = storage.read_bytes(location)
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise InputError(
            f"{location}: is damaged, its sha256 differs from the manifest's; "
            "copy the data set again, or prepare it again with --overwrite"
        )
    file = pq.ParquetFile(pa.BufferReader(content))
    for index, entry in enumerate(shard.pairs):
        bands = file.read_row_group(index, columns=["blurred", "sharp"])
        blurred, sharp = (_joined(bands.column(column), entry) for column in ("blurred", "sharp"))
        yield Pair(entry.scene, entry.name, blurred, sharp)


class _SplitWriter:
    """Fills one shard of a split after the other; a pair is one row group, a band of both photographs one row."""

    def __init__(self, folder: Path, split: Split, shard_bytes: int) -> None:
        self.shards: list[ShardEntry] = []
        self._folder = folder
        self._split = split
        self._shard_bytes = shard_bytes
        self._writer: pq.ParquetWriter | None = None
        self._entries: list[PairEntry] = []

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._split}-{len(self.shards):05d}.parquet"

    def add(self, pair: Pair) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False
            )
        entry = _entry(pair)
        self._writer.write_table(_bands(pair, entry))
        self._entries.append(entry)
        if sum(2 * entry.photo_bytes for entry in self._entries) >= self._shard_bytes:
            self.close()

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        path = self._path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.shards.append(
            ShardEntry(name=path.name, bytes=path.stat().st_size, sha256=digest, pairs=tuple(self._entries))
        )
        self._entries = []


def _entry(pair: Pair) -> PairEntry:
    height, width = pair.blurred_HW3.shape[:2]
    return PairEntry(
        scene=pair.scene,
        name=pair.name,
        height=height,
        width=width,
        bits=16 if pair.blurred_HW3.dtype == np.uint16 else 8,
        blurred_sha256=hashlib.sha256(_little_endian(pair.blurred_HW3)).hexdigest(),
        sharp_sha256=hashlib.sha256(_little_endian(pair.sharp_HW3)).hexdigest(),
    )


def _bands(pair: Pair, entry: PairEntry) -> pa.Table:
    rows = [
        {
            **entry.model_dump(include={"scene", "name", "bits", "height", "width"}),
            "first_row": first,
            "blurred": _little_endian(pair.blurred_HW3[first : first + BAND_ROWS]),
            "sharp": _little_endian(pair.sharp_HW3[first : first + BAND_ROWS]),
        }
        for first in range(0, entry.height, BAND_ROWS)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _joined(bands: pa.ChunkedArray, entry: PairEntry) -> Pixels:
    pixels = b"".join(band.as_buffer() for band in bands)
    samples = np.frombuffer(pixels, dtype="<u2") if entry.bits == 16 else np.frombuffer(pixels, dtype=np.uint8)
    return samples.reshape(entry.height, entry.width, 3)


def _little_endian(photo_HW3: Pixels) -> bytes:
    return photo_HW3.astype(photo_HW3.dtype.newbyteorder("<"), copy=False).tobytes()
