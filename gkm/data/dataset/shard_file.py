"""Pairs in, one Parquet file out.

A row is a block of all photographs of a pair and a row group of its own, so a block is read by its place in the file.
The chain of trust: the manifest holds the sha256 of the file and of the footer at its end; the footer holds where each
block lies and the CRC-32 of its contents. docs/data.md describes the columns.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gkm import storage
from gkm.config import Input
from gkm.data.dataset.encoding import BLOCK_PIXELS, ENCODING, Block, blocks_of, encode
from gkm.data.dataset.manifest import SCHEMA_VERSION, PairEntry, ShardEntry
from gkm.data.dataset.pair import Pair
from gkm.data.photos import Pixels

PHOTOGRAPHS = ("blurred", "sharp", "left", "right")
SIDES = PHOTOGRAPHS[:2]
"""What training and evaluation need, but for networks that see views."""
_FACTS = {
    **{name: pa.string() for name in ("scene", "name", "label")},
    "bits": pa.uint8(),
    **{name: pa.int32() for name in ("height", "width", *Block._fields)},
}
_OPTIONAL = ("label", "left", "right")
SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=name in _OPTIONAL)
        for name, kind in {**_FACTS, **dict.fromkeys(PHOTOGRAPHS, pa.binary())}.items()
    ],
    metadata={
        "gkm.schema_version": str(SCHEMA_VERSION),
        "gkm.encoding": ENCODING,
        "gkm.block_pixels": str(BLOCK_PIXELS),
    },
)
CHECKS = "gkm.crc32"
"""Key of the footer: for each block, the CRC-32 of each encoded photograph."""
ZSTD_LEVEL = 1
"""Higher levels cost several times the time and save two or three hundredths (docs/decisions/0002-shards.md)."""


def columns_for(inputs: Sequence[Input]) -> tuple[str, ...]:
    """The photographs to read for a network that sees `inputs`."""
    return SIDES if set(inputs) <= set(SIDES) else PHOTOGRAPHS


class ShardWriter:
    """A shard that grows by one pair at a time, in a local file that no one else reads yet."""

    def __init__(self, path: Path) -> None:
        self.entries: list[PairEntry] = []
        self._path = path
        self._checks: list[list[int | None]] = []
        self._writer = pq.ParquetWriter(
            path, SCHEMA, compression="zstd", compression_level=ZSTD_LEVEL, use_dictionary=False, write_statistics=False
        )

    def add(self, pair: Pair) -> None:
        """Writes a pair, block by block."""
        entry = _entry(pair)
        facts = entry.model_dump(include={"scene", "name", "label", "bits", "height", "width"})
        for block in blocks_of(entry.height, entry.width):
            encoded = {name: encode(photo_HW3[block.window]) for name, photo_HW3 in pair.photographs()}
            row = {**facts, **block._asdict(), **encoded}
            self._writer.write_table(pa.Table.from_pylist([row], schema=SCHEMA))
            self._checks.append([zlib.crc32(encoded[name]) if name in encoded else None for name in PHOTOGRAPHS])
        self.entries.append(entry)

    def close(self, name: str) -> ShardEntry:
        """Ends the file; what the manifest is to say of the shard `name`."""
        self._writer.add_key_value_metadata({CHECKS: json.dumps(self._checks, separators=(",", ":"))})
        self._writer.close()
        return _described(self._path, name, self.entries)


def write_shard(location: str | Path, pairs: Iterable[Pair]) -> ShardEntry:
    """Writes `pairs` to `location`, a file that appears whole or not at all; holds one pair at a time.

    The same pairs give the same bytes. Shards know nothing of each other: several processes may write the shards of
    a data set, and a `Manifest` puts their entries together. Raises ValueError if there are no pairs.
    """
    with _local_file(location) as path:
        writer = ShardWriter(path)
        for pair in pairs:
            writer.add(pair)
        if not writer.entries:
            raise ValueError(f"{location}: a shard needs at least one pair")
        return writer.close(Path(location).name)


def photograph_sha256(photo_HW3: Pixels) -> str:
    """The hash that the manifest keeps of a photograph: of its samples row by row, 16-bit ones little-endian."""
    samples = photo_HW3.astype(photo_HW3.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(samples).data).hexdigest()


@contextmanager
def _local_file(location: str | Path) -> Iterator[Path]:
    """A local file to write; it becomes `location` if the block ends well."""
    if not storage.is_remote(location):
        with storage.replacing(Path(location)) as partial:
            yield partial
        return
    with tempfile.TemporaryDirectory(prefix="gkm-shard-") as folder:
        yield Path(folder, "shard")
        storage.upload(Path(folder, "shard"), location)


def _entry(pair: Pair) -> PairEntry:
    height, width = pair.blurred_HW3.shape[:2]
    return PairEntry(
        scene=pair.scene,
        name=pair.name,
        height=height,
        width=width,
        bits=8 if pair.blurred_HW3.dtype.itemsize == 1 else 16,
        label=pair.label,
        **{f"{name}_sha256": photograph_sha256(photo) for name, photo in pair.photographs()},
    )


def _described(path: Path, name: str, entries: Iterable[PairEntry]) -> ShardEntry:
    content_bytes = path.stat().st_size
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(-8, io.SEEK_END)
        footer_bytes = int.from_bytes(file.read(4), "little") + 8  # Parquet ends with the footer's length and "PAR1"
        file.seek(-footer_bytes, io.SEEK_END)
        footer_sha256 = hashlib.sha256(file.read()).hexdigest()
    return ShardEntry(
        name=name,
        bytes=content_bytes,
        sha256=sha256,
        footer_bytes=footer_bytes,
        footer_sha256=footer_sha256,
        pairs=tuple(entries),
    )
