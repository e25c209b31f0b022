"""What was scored in, one Parquet file with a row for each photograph out; and back, if it is whole.

A file has the name of its key, which is a hash of all that its scores depend on: a file that is there needs not be
computed again, whoever wrote it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from gkm import storage
from gkm.errors import InputError
from gkm.evaluation import ImageScore

SCHEMA_VERSION = 1
"""Raise it when the same photographs and weights would get other scores."""
_KEY, _FINISHED, _DEVICE = b"gkm.key", b"gkm.finished_ms", b"gkm.device"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photograph, as one model restored it at one noise level."""

    scene: str
    name: str
    height: int
    width: int
    psnr: float
    ssim: float
    lpips: float
    seconds: float | None
    """For restoring it, without reading and scoring; None where nothing is restored."""

    @property
    def score(self) -> ImageScore:
        return ImageScore(scene=self.scene, name=self.name, psnr=self.psnr, ssim=self.ssim, lpips=self.lpips)


@dataclass(frozen=True)
class Block:
    """All photographs of a split, in their order."""

    rows: tuple[Row, ...]
    device: str
    """What restored them: the name of a GPU, or "cpu: " and its name (in older files nothing but "cpu")."""
    finished_ms: int
    """When they were done, in milliseconds of Unix time."""


def digest_of(key: Mapping[str, Any]) -> str:
    """32 hexadecimal digits, the same for the same key."""
    text = json.dumps({"schema": SCHEMA_VERSION, **key}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def place_of(folder: str, key: Mapping[str, Any]) -> str:
    """Where the rows of `key` lie below `folder`."""
    return storage.join(folder, "rows", f"{digest_of(key)}.parquet")


def write_block(folder: str, key: Mapping[str, Any], block: Block) -> None:
    """Keep `block`, whole or not at all."""
    storage.write_bytes(place_of(folder, key), to_parquet([asdict(row) for row in block.rows], key, block))


def to_parquet(rows: Sequence[Mapping[str, Any]], key: Mapping[str, Any], block: Block | None = None) -> bytes:
    """A table with a checksum for every page."""
    import pyarrow as pa
    from pyarrow import parquet

    metadata = {_KEY: json.dumps(key, sort_keys=True)}
    if block is not None:
        metadata |= {_FINISHED: str(block.finished_ms), _DEVICE: block.device}
    table = pa.Table.from_pylist(list(rows)).replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read_block(folder: str, key: Mapping[str, Any], photographs: Sequence[tuple[str, str]]) -> Block | None:
    """The block of `key` if it is there, undamaged, and of these photographs (scene and name) in this order."""
    import pyarrow as pa
    from pyarrow import parquet

    place = place_of(folder, key)
    if not storage.exists(place):
        return None
    try:
        source = io.BytesIO(storage.read_bytes(place))
        table = parquet.read_table(source, page_checksum_verification=True)
        metadata = table.schema.metadata or {}
        names = [field.name for field in fields(Row)]
        rows = tuple(Row(**{name: entry[name] for name in names}) for entry in table.to_pylist())
        block = Block(rows, metadata[_DEVICE].decode(), int(metadata[_FINISHED]))
    except (pa.ArrowException, OSError, KeyError, ValueError, InputError):
        return None  # damaged: computed again, and replaced
    return block if [(row.scene, row.name) for row in rows] == list(photographs) else None
