"""Pixels of 16 bits in, a PNG file out: Pillow reads them, but does not write them."""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_COLOUR_TYPES = {3: 2, 4: 6}
"""Channels -> RGB, RGB with alpha."""
_ROWS = 64
"""Filtered and compressed at a time."""
_LESS_THE_PIXEL_BEFORE = 1
"""PNG's filter "Sub"."""


def write_png(
    file: BinaryIO, pixels_HWC: npt.NDArray[np.uint16], exif: bytes | None = None, icc: bytes | None = None
) -> None:
    """Writes RGB, or RGB with alpha, of uint16 to `file`, with an EXIF structure and a colour profile."""
    height, width, channels = pixels_HWC.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
    if icc is not None:
        _write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if exif is not None:
        _write_chunk(file, b"eXIf", exif)
    compressor = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    for top in range(0, height, _ROWS):
        if part := compressor.compress(_filtered(pixels_HWC[top : top + _ROWS])):
            _write_chunk(file, b"IDAT", part)
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(rows_hWC: npt.NDArray[Any]) -> bytes:
    """Each byte less that of the pixel before, the name of that filter in front of each row."""
    count, width, channels = rows_hWC.shape
    bytes_hN = rows_hWC.astype(">u2").reshape(count, width * channels).view(np.uint8)
    lines_hN = np.empty((count, bytes_hN.shape[1] + 1), np.uint8)
    lines_hN[:, 0] = _LESS_THE_PIXEL_BEFORE
    step = 2 * channels
    lines_hN[:, 1 : step + 1] = bytes_hN[:, :step]
    np.subtract(bytes_hN[:, step:], bytes_hN[:, :-step], out=lines_hN[:, step + 1 :])
    return lines_hN.tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
