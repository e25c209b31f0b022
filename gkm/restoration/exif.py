"""What a photograph says of itself, as EXIF, in; the same for a photograph that stands upright out.

EXIF is a TIFF structure: a header, and directories of entries with offsets from its beginning. It is changed in place
and nothing in it moves, since makers' notes hold offsets that only their makers know.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from PIL import Image

PREFIX = b"Exif\0\0"
"""What JPEG, and some others, put in front of the structure."""
ORIENTATION = 274
_SHORT, _TEXT, _LONG, _RATIONAL = 3, 2, 4, 5
_BYTES = {_SHORT: 2, _TEXT: 1, _LONG: 4, _RATIONAL: 8}
_TEXTS, _RESOLUTIONS, _RESOLUTION_UNIT = (270, 271, 272, 305, 306, 315, 33432), (282, 283), 296
_DIRECTORIES = (0x8769, 0x8825)
"""Camera settings; place."""
_KINDS = (
    dict.fromkeys(_TEXTS, _TEXT)
    | dict.fromkeys(_RESOLUTIONS, _RATIONAL)
    | {_RESOLUTION_UNIT: _SHORT}
    | dict.fromkeys(_DIRECTORIES, _LONG)
)
"""Tags of a directory that speak of the photograph, not of how it lies in the file, with the kinds of their values:
description, maker, model, software, date, artist, copyright; resolution; where the other directories are."""
_ENTRY_BYTES = 12


class Directory(NamedTuple):
    """The first directory of a structure."""

    order: str
    """Of bytes: "<" or ">", as `struct` has it."""
    entries: tuple[tuple[int, int], ...]
    """Tag, and where its entry begins."""
    end: int
    """Where the offset of the next directory stands."""


def read_directory(exif: bytes) -> Directory | None:
    """The first directory of an EXIF structure; None where it is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        places = [start + 2 + _ENTRY_BYTES * index for index in range(count)]
        end = start + 2 + _ENTRY_BYTES * count
        struct.unpack_from(f"{order}I", exif, end)
        tags = [struct.unpack_from(f"{order}H", exif, place)[0] for place in places]
    except struct.error:
        return None
    return Directory(order, tuple(zip(tags, places, strict=True)), end)


def described(exif: bytes, directory: Directory) -> dict[int, bytes]:
    """Entries of 12 bytes by their tags, of all that speak of the photograph; damaged ones are left out."""
    return {tag: exif[at : at + _ENTRY_BYTES] for tag, at in directory.entries if _is_whole(exif, directory, tag, at)}


def _is_whole(exif: bytes, directory: Directory, tag: int, place: int) -> bool:
    found, count, where = map(int, struct.unpack_from(f"{directory.order}HII", exif, place + 2))
    if found != _KINDS.get(tag) or (found != _TEXT and count != 1):
        return False
    size = _BYTES[found] * count
    if tag in _DIRECTORIES:
        return bool(8 <= where <= len(exif) - 2)
    return bool(size <= 4 or where + size <= len(exif))


def kept_exif(image: Image.Image) -> bytes | None:
    """The EXIF structure of a decoded photograph, upright and without its thumbnail; None if it has none, or damage."""
    if image.format == "TIFF":
        try:
            return upright(_of_tiff(image))
        except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError, struct.error):  # damaged entries
            return None
    raw = image.info.get("exif")
    if raw is None and "Raw profile type exif" in image.info:  # as text, the way of PNG before it had EXIF
        raw = image.getexif().tobytes()
    return upright(raw.removeprefix(PREFIX)) if isinstance(raw, bytes) else None


def upright(exif: bytes) -> bytes | None:
    """`exif` as it is for pixels that were turned as it asked; None where it is damaged.

    The directory after the first is left out: its thumbnail shows the photograph as it was.
    """
    directory = read_directory(exif)
    if directory is None:
        return None
    changed = bytearray(exif)
    for tag, place in directory.entries:
        if tag == ORIENTATION:
            changed[place + 2 : place + _ENTRY_BYTES] = struct.pack(f"{directory.order}HIHH", 3, 1, 1, 0)
    changed[directory.end : directory.end + 4] = bytes(4)
    return bytes(changed)


def _of_tiff(image: Image.Image) -> bytes:
    """A structure with what a TIFF's own directories say of the photograph."""
    found, kept = image.getexif(), Image.Exif()
    for tag in _KINDS:
        if tag in _DIRECTORIES:
            if inside := found.get_ifd(tag):
                kept[tag] = inside
        elif tag in found:
            kept[tag] = found[tag]
    return kept.tobytes().removeprefix(PREFIX) if len(kept) else b""
