"""A photograph's file in, all of it that a restored photograph keeps out: pixels, alpha, EXIF, colour profile."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from gkm.data.photos import PhotoFile, Pixels, deep_pixels, opened
from gkm.errors import InputError
from gkm.restoration.exif import kept_exif

_NEW_SUBFILE_TYPE, _REDUCED = 254, 1
"""The tag that says what a page of a TIFF is; its bit for a smaller version of another."""
_SEVERAL_PICTURES = {"GIF", "PNG", "WEBP", "AVIF", "TIFF"}
"""Formats whose further pictures are no mere previews, as those of a camera's JPEG (MPO) are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Photograph:
    """A photograph, standing upright."""

    rgb_HW3: Pixels  # noqa: N815
    alpha_HW: npt.NDArray[Any] | None = None  # noqa: N815
    """Of the same type."""
    exif: bytes | None = None
    """An EXIF structure from its header on; its orientation is that of the pixels."""
    icc: bytes | None = None
    """Profile of its RGB colours; None: sRGB."""
    kind: str = "PNG"
    """Format of its file, as Pillow calls it."""

    @property
    def bits(self) -> int:
        """8 or 16."""
        return self.rgb_HW3.dtype.itemsize * 8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb_HW3.shape[1], self.rgb_HW3.shape[0]

    @property
    def with_alpha_HWC(self) -> npt.NDArray[Any]:
        """RGB and alpha, if it has any, as one array."""
        return self.rgb_HW3 if self.alpha_HW is None else np.dstack([self.rgb_HW3, self.alpha_HW])


def read_photograph(file: PhotoFile, *, most_pixels: int | None = None) -> Photograph:
    """The photograph in `file`, with the pixels that `gkm.data.photos.read_rgb` gives of it.

    CMYK and grey with a colour profile become sRGB by it, which `read_rgb` leaves out. Raises InputError as `read_rgb`
    does, for animations and files of several pages, and for more than `most_pixels` pixels, before decoding them.
    """
    with opened(file) as image:
        _refuse_several(image, file)
        if most_pixels is not None and image.width * image.height > most_pixels:
            raise InputError(
                f"{file}: has {image.width}x{image.height} pixels, more than {most_pixels / 1e6:g} million; "
                "scale it down"
            )
        deep = deep_pixels(image, file)
        image.load()  # PNG may have its EXIF behind the pixels
        exif, icc = kept_exif(image), image.info.get("icc_profile")
        kind = str(image.format)
        if deep is not None:
            rgb_HW3, alpha_HW = np.ascontiguousarray(deep[:, :, :3]), deep[:, :, 3] if deep.shape[2] == 4 else None
            return Photograph(rgb_HW3=rgb_HW3, alpha_HW=alpha_HW, exif=exif, icc=_of_rgb(icc), kind=kind)
        turned = ImageOps.exif_transpose(image)
        plain = _without_profile(turned, icc)
        alpha = turned.convert("RGBA").getchannel("A") if turned.has_transparency_data else None
        return Photograph(
            rgb_HW3=np.asarray(plain.convert("RGB")),
            alpha_HW=None if alpha is None else np.asarray(alpha),
            exif=exif,
            icc=_of_rgb(icc),
            kind=kind,
        )


def _refuse_several(image: Image.Image, file: PhotoFile) -> None:
    frames = int(getattr(image, "n_frames", 1)) if image.format in _SEVERAL_PICTURES else 1
    if frames == 1:
        return
    if image.format != "TIFF":
        raise InputError(f"{file}: is an animation of {frames} pictures; give a single photograph")
    pages = 0
    for index in range(frames):
        image.seek(index)
        pages += not int(getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0)) & _REDUCED
    image.seek(0)
    if pages > 1:
        raise InputError(f"{file}: holds {pages} pages; save the photograph as a file of its own")


def _of_rgb(icc: object) -> bytes | None:
    """A profile, if it is one of RGB: no other fits the restored photograph."""
    return icc if isinstance(icc, bytes) and icc[16:20] == b"RGB " else None


def _without_profile(image: Image.Image, icc: object) -> Image.Image:
    """CMYK or grey in sRGB, if their profile says how; the image itself otherwise."""
    space = {"CMYK": b"CMYK", "L": b"GRAY"}.get(image.mode)
    if space is None or not isinstance(icc, bytes) or icc[16:20] != space:
        return image
    try:
        converted = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):  # a damaged profile
        return image
    return image if converted is None else converted
