"""A photograph and a format in, its file out: whole, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from PIL import Image

from gkm import storage
from gkm.data.photos import as_8bit
from gkm.errors import InputError
from gkm.restoration.exif import PREFIX
from gkm.restoration.photograph import Photograph
from gkm.restoration.png import write_png
from gkm.restoration.tiff import write_tiff

Format = Literal["png", "jpeg", "tiff"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
JPEG_QUALITY = 95
_LONGEST_JPEG_SIDE = 65_535
_LONGEST_JPEG_EXIF = 65_533 - len(PREFIX)


def default_format(kind: str) -> Format:
    """The format of a restored photograph where none is asked for, by the name or the suffix of what it was made of.

    TIFF stays TIFF; PNG, and all that loses something or is not written here, becomes PNG.
    """
    return "tiff" if kind.lower() in ("tiff", ".tif", ".tiff") else "png"


def write_photograph(path: Path, photograph: Photograph, form: Format) -> None:
    """Writes `photograph` to `path`, which then holds it whole; InputError where it, or the disk, cannot take it."""
    photograph = fitting(photograph, form, str(path))
    with storage.replacing(path) as partial, partial.open("wb") as file:
        encode(file, photograph, form)


def encode(file: BinaryIO, photograph: Photograph, form: Format) -> None:
    """Writes `photograph` to `file`, which lets itself be sought; InputError where its format cannot hold it.

    PNG and TIFF keep all of it, 16 bits included; JPEG has 8 bits and no alpha, its quality is 95 without subsampling.
    """
    photograph = fitting(photograph, form, "the photograph")
    pixels_HWC, exif, icc = photograph.with_alpha_HWC, photograph.exif, photograph.icc
    match form:
        case "tiff":
            write_tiff(file, pixels_HWC, exif, icc)
        case "png" if photograph.bits == 16:
            write_png(file, pixels_HWC, exif, icc)
        case "png":
            more = {} if exif is None else {"exif": exif}
            Image.fromarray(pixels_HWC).save(file, "PNG", icc_profile=icc, **more)
        case "jpeg":
            more = {} if exif is None else {"exif": PREFIX + exif}
            image = Image.fromarray(as_8bit(photograph.rgb_HW3))
            image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=icc, **more)


def fitting(photograph: Photograph, form: Format, name: str) -> Photograph:
    """The photograph as a file of that format holds it; InputError, which speaks of it as `name`, where it cannot."""
    if form != "jpeg":
        return photograph
    if photograph.alpha_HW is not None and photograph.alpha_HW.min() < 2**photograph.bits - 1:
        raise InputError(f"{name}: is transparent in parts, which JPEG cannot keep; write PNG or TIFF")
    if max(photograph.size) > _LONGEST_JPEG_SIDE:
        raise InputError(
            f"{name}: has {max(photograph.size)} pixels on a side, and JPEG at most {_LONGEST_JPEG_SIDE}; "
            "write PNG or TIFF"
        )
    if photograph.exif is not None and len(photograph.exif) > _LONGEST_JPEG_EXIF:
        raise InputError(f"{name}: its EXIF data is too long for JPEG; write PNG or TIFF")
    return replace(photograph, alpha_HW=None)
