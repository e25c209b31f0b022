"""Photographs on disk in, RGB pixels out; the only place that reads the file formats of photographs."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from gkm import storage
from gkm.errors import InputError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""In the one order in which they are always listed."""
TRIAL_SPLITS = SPLITS[:2]
"""What a trial reads: photographs to train on, and to validate on. No study ever sees the rest."""
Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Height x width x 3, RGB."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
SMALLEST_PIXELS = 16
LARGEST_PIXELS = 100_000_000
"""Photographs of more pixels are taken for decompression bombs."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _PLANES = 258, 262, 274, 284  # TIFF tags
_PLANES_APART = 2
"""Of `_PLANES`: one channel after the other, as some programs save."""
_OF_DAMAGE = (
    ArithmeticError, EOFError, LookupError, MemoryError, SyntaxError, TypeError, ValueError, struct.error
)  # fmt: skip
"""What Pillow raises, beside OSError, for files with bytes that are not as they were."""
_ON_THEIR_SIDE = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


@dataclass(frozen=True, kw_only=True)
class PhotoPair:
    """Where a blurred photograph and its sharp partner lie."""

    split: Split
    scene: str
    name: str
    blurred: Path
    sharp: Path
    scene_is_named: bool = False
    """Whether a list names the scene; otherwise it has the name of its file."""
    label: str | None = None
    """Such as indoor or outdoor."""
    left: Path | None = None
    right: Path | None = None
    """Views of a dual-pixel sensor."""


class PhotoFile(Protocol):
    """What is read of a photograph: a path, or `Upload`. Its text is how it is spoken of."""

    def open(self, mode: Literal["rb"], /) -> Any: ...
    def stat(self) -> Any: ...


@dataclass(frozen=True)
class Upload:
    """A photograph's file that lies in memory; messages speak of it by its name."""

    name: str
    content: bytes

    @property
    def st_size(self) -> int:
        """Bytes of the file."""
        return len(self.content)

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """The file, to be read."""
        return BytesIO(self.content)

    def stat(self) -> Upload:
        """See `st_size`."""
        return self

    def __str__(self) -> str:
        return self.name


class Header(NamedTuple):
    """What a photograph says of itself before it is decoded; width and height as they will be shown."""

    width: int
    height: int
    bits: int

    @property
    def pixel_bytes(self) -> int:
        """Bytes of its decoded pixels."""
        return self.width * self.height * 3 * self.bits // 8


def read_header(path: str | Path | Upload) -> Header:
    """Size and bits (8 or 16) of a photograph, from its first bytes alone; InputError as for `read_rgb`."""
    with opened(path if isinstance(path, Upload) else storage.path(path)) as image:
        width, height = image.size
        bits = _bits(image)
        # A PNG would be decoded in search of an orientation behind its pixels.
        oriented = image.format != "PNG" or "exif" in image.info
        if oriented and image.getexif().get(_ORIENTATION, 1) in _ON_THEIR_SIDE:
            width, height = height, width
        return Header(width, height, bits)


def read_rgb(path: str | Path) -> Pixels:
    """Pixels of a photograph, height x width x 3, uint8 or (16-bit PNG and TIFF) uint16, without loss.

    The EXIF orientation is applied. Grey becomes three equal channels, a palette its colours, CMYK is converted
    without a colour profile, an alpha channel is dropped. InputError names the file, the reason and the remedy.
    """
    path = storage.path(path)
    with opened(path) as image:
        if (deep := deep_pixels(image, path)) is not None:
            return np.ascontiguousarray(deep[:, :, :3])
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def as_8bit(photo_HW3: Pixels) -> npt.NDArray[np.uint8]:
    """A photograph at 8 bits: of 16 bits v, the integer nearest to v * 255 / 65535; of 8 bits, itself.

    There are no ties, since 65535 / 255 is the odd number 257.
    """
    if photo_HW3.dtype == np.uint8:
        return photo_HW3.astype(np.uint8, copy=False)
    if photo_HW3.dtype != np.uint16:
        raise ValueError(f"a photograph has 8 or 16 bits a channel, but this one is {photo_HW3.dtype}")
    return ((photo_HW3.astype(np.uint32) + 128) // 257).astype(np.uint8)


def quantised(levels_HW3: npt.NDArray[np.floating], like: np.dtype[Any]) -> Pixels:
    """Levels from 0 to the largest of `like` (uint8 or uint16) as whole ones of that type: clamped, then rounded."""
    rounded_HW3: npt.NDArray[np.floating] = np.rint(np.clip(levels_HW3, 0, np.iinfo(like).max))
    return rounded_HW3.astype(np.uint8) if like == np.uint8 else rounded_HW3.astype(np.uint16)


@contextmanager
def opened(path: PhotoFile) -> Iterator[Image.Image]:
    """The photograph with its header read and judged; what goes wrong later in the block is explained as well."""
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; copy the photograph again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as file, Image.open(file) as image:
                _judge_size(path, *image.size)
                yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(
            f"{path}: claims more than {LARGEST_PIXELS // 10**6} million pixels; scale it down or remove it"
        ) from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: is no photograph that can be read; give a PNG, JPEG or TIFF file of 8 or 16 bits per channel"
        ) from None
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else f"damaged or cut short: {error}"
        raise InputError(f"{path}: cannot be read ({reason}); give a whole, readable photograph") from None
    except _OF_DAMAGE as error:
        raise InputError(f"{path}: cannot be read (damaged: {error}); give a whole photograph") from None


def deep_pixels(image: Image.Image, path: PhotoFile) -> npt.NDArray[np.uint16] | None:
    """Pixels of a 16-bit PNG or TIFF, height x width x 3, or 4 where it has alpha, as they will be shown.

    None if `image`, which is what `opened` gave of `path`, has 8 bits or fewer; InputError for deep grey of others.
    """
    match image.format:
        case "PNG":
            return _deep_png(image, path)
        case "TIFF":
            return _deep_tiff(image, path)
        case _ if image.mode.startswith(("I", "F")):  # which Pillow would clip to 8 bits: white throughout
            raise InputError(f"{path}: is {image.format} of more than 8 bits per channel; save it as PNG or TIFF")
        case _:
            return None


def _judge_size(path: PhotoFile, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_PIXELS:
        raise InputError(
            f"{path}: is only {width}x{height} pixels; photographs need at least {SMALLEST_PIXELS} on each side"
        )
    if width * height > LARGEST_PIXELS:
        raise InputError(
            f"{path}: claims {width}x{height} pixels, more than {LARGEST_PIXELS // 10**6} million; "
            "scale it down or remove it"
        )


def _bits(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 16 if max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (1,))) > 8 else 8
    assert isinstance(image, ImageFile.ImageFile)
    return 16 if image.mode.startswith("I") or any("16" in str(tile.args) for tile in image.tile) else 8


def _deep_png(image: Image.Image, path: PhotoFile) -> npt.NDArray[np.uint16] | None:
    """See `deep_pixels`; None if `image` has 8 bits or fewer.

    Pillow keeps the high bytes of 16-bit RGB alone. Told that the samples are little-endian, it keeps the low
    bytes instead, so decoding twice gives every bit at the speed of its C code. (Once decoded, `image` knows its
    orientation, too, which may stand behind its pixels: asked before, it would decode a third time.)
    """
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.uint16)
        return _oriented(np.repeat(grey[:, :, None], 3, axis=2), image)
    assert isinstance(image, ImageFile.ImageFile)
    modes = {str(tile.args) for tile in image.tile}
    if modes == {"LA;16B"}:
        raise InputError(f"{path}: 16-bit grey with alpha is not supported; save it as 16-bit RGB")
    if not modes <= {"RGB;16B", "RGBA;16B"}:
        return None
    with path.open("rb") as file, Image.open(file) as twin:
        assert isinstance(twin, ImageFile.ImageFile)
        twin.tile = [tile._replace(args=str(tile.args)[:-1] + "L") for tile in twin.tile]
        low = np.asarray(twin)
    high = np.asarray(image)
    return _oriented((high.astype(np.uint16) << 8) | low, image)


def _deep_tiff(image: Image.Image, path: PhotoFile) -> npt.NDArray[np.uint16] | None:
    """See `deep_pixels`; by tifffile, which keeps 16 bits; None if `image` has 8 or fewer."""
    tags = getattr(image, "tag_v2", {})
    if max(tags.get(_BITS_PER_SAMPLE, (1,))) <= 8:
        return None
    import tifffile

    try:
        with path.open("rb") as file:
            pixels = tifffile.imread(file, key=0)
    except (tifffile.TiffFileError, ValueError, LookupError, RuntimeError, struct.error, zlib.error) as error:
        raise InputError(f"{path}: this TIFF cannot be read ({error}); save it as uncompressed TIFF or PNG") from None
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize != 2:
        raise InputError(f"{path}: holds {pixels.dtype} samples; save it with 8 or 16 bits per channel")
    if pixels.ndim == 3 and tags.get(_PLANES) == _PLANES_APART:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or tags.get(_PHOTOMETRIC) not in (1, 2):
        raise InputError(f"{path}: is a 16-bit TIFF that is neither grey nor RGB; save it as RGB")
    return _oriented(pixels.astype(np.uint16), image)


def _oriented(pixels_HW3: npt.NDArray[Any], image: Image.Image) -> npt.NDArray[Any]:
    """`pixels_HW3` turned as the EXIF orientation of `image` asks."""
    turn = image.getexif().get(_ORIENTATION, 1)
    if turn in _ON_THEIR_SIDE:
        pixels_HW3 = pixels_HW3.transpose(1, 0, 2)
    rows = slice(None, None, -1) if turn in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if turn in (2, 3, 6, 7) else slice(None)
    return np.ascontiguousarray(pixels_HW3[rows, columns])
