"""Pixels of 8 or 16 bits and EXIF in, a TIFF file out.

EXIF is a TIFF structure itself. The file begins with it as it is, so that every offset in it stays right; the strips of
pixels follow, and a directory that has the entries of both.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO

import numpy.typing as npt

from gkm.restoration.exif import described, read_directory

_STRIP_BYTES = 4_000_000
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_DEFLATE, _DIFFERENCES, _RGB, _ALPHA = 8, 2, 2, 2
"""Compression; predictor; photometric interpretation; what the fourth channel is: not multiplied in."""


def write_tiff(
    file: BinaryIO, pixels_HWC: npt.NDArray[Any], exif: bytes | None = None, icc: bytes | None = None
) -> None:
    """Writes RGB, or RGB with alpha, of uint8 or uint16 to `file`, with an EXIF structure and a colour profile.

    Compressed with Deflate, each sample less that of the pixel before.
    """
    directory = None if exif is None else read_directory(exif)
    order, begin = "<", b"II*\0\0\0\0\0"
    if exif is not None and directory is not None:
        order, begin = directory.order, exif
    start = file.tell()
    _write_even(file, begin)
    height, width, channels = pixels_HWC.shape
    rows = max(_STRIP_BYTES // (width * channels * pixels_HWC.itemsize), 1)
    offsets, lengths = [], []
    for top in range(0, height, rows):
        offsets.append(file.tell() - start)
        lengths.append(_write_even(file, zlib.compress(_differences(pixels_HWC[top : top + rows], order))))
    tags: dict[int, tuple[int, tuple[int, ...] | bytes]] = {
        256: (_LONG, (width,)),
        257: (_LONG, (height,)),
        258: (_SHORT, (pixels_HWC.itemsize * 8,) * channels),
        259: (_SHORT, (_DEFLATE,)),
        262: (_SHORT, (_RGB,)),
        273: (_LONG, tuple(offsets)),
        277: (_SHORT, (channels,)),
        278: (_LONG, (rows,)),
        279: (_LONG, tuple(lengths)),
        284: (_SHORT, (1,)),
        317: (_SHORT, (_DIFFERENCES,)),
        **({338: (_SHORT, (_ALPHA,))} if channels == 4 else {}),
        **({34675: (_UNDEFINED, icc)} if icc is not None else {}),
    }
    entries = {} if directory is None else described(begin, directory)
    for tag, (kind, values) in tags.items():
        entries[tag] = _entry(file, start, order, tag, kind, values)
    where = file.tell() - start
    file.write(struct.pack(f"{order}H", len(entries)))
    file.write(b"".join(entries[tag] for tag in sorted(entries)) + bytes(4))
    file.seek(start + 4)
    file.write(struct.pack(f"{order}I", where))
    file.seek(0, 2)


def _entry(file: BinaryIO, start: int, order: str, tag: int, kind: int, values: tuple[int, ...] | bytes) -> bytes:
    """An entry of a directory; values that do not fit into it are written to `file`."""
    letter = {_SHORT: "H", _LONG: "I"}.get(kind, "B")
    packed = struct.pack(f"{order}{len(values)}{letter}", *values)
    if len(packed) > 4:
        where = file.tell() - start
        _write_even(file, packed)
        packed = struct.pack(f"{order}I", where)
    return struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")


def _differences(rows_hWC: npt.NDArray[Any], order: str) -> bytes:
    less = rows_hWC.copy()
    less[:, 1:] -= rows_hWC[:, :-1]
    return less.astype(less.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()


def _write_even(file: BinaryIO, content: bytes) -> int:
    """Writes `content` so that what follows begins at an even offset, as TIFF asks; gives its length."""
    file.write(content + bytes(len(content) % 2))
    return len(content)
