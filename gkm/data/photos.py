"""Photographs on disk in, RGB pixels and blurred / sharp pairs out.

The only place that knows the folder layouts of data sets and the file formats of photographs.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from gkm.errors import InputError
from gkm.storage import replacing

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Height x width x 3, RGB."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
SMALLEST_PIXELS = 16
LARGEST_PIXELS = 100_000_000
"""Photographs of more pixels are taken for decompression bombs."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 274  # TIFF tags
_DPD_FOLDERS: dict[str, Split] = {"train_c": "train", "val_c": "validation", "test_c": "test"}


@dataclass(frozen=True, kw_only=True)
class PhotoPair:
    """Where a blurred photograph and its sharp partner lie."""

    scene: str
    split: Split
    blurred: Path
    sharp: Path


def find_pairs(folder: str | Path) -> list[PhotoPair]:
    """All pairs of a folder in DPD's layout, `{train,val,test}_c/{source,target}`, train first.

    Partners have the same file name; each is a scene of its own. InputError if the folder, a partner or every
    photograph is missing, or if the sizes of partners differ.
    """
    folder = Path(folder)
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "there is no such folder"
        raise InputError(f"{folder}: {reason}; give a folder with {{train,val,test}}_c/{{source,target}} below it")
    pairs = [
        pair
        for name, split in _DPD_FOLDERS.items()
        if (folder / name).is_dir()
        for pair in _pairs(folder / name, split)
    ]
    if not pairs:
        raise InputError(
            f"{folder}: holds no pairs of photographs; blurred ones belong into {{train,val,test}}_c/source, "
            "sharp ones of the same names into {train,val,test}_c/target"
        )
    return pairs


def read_rgb(path: str | Path) -> Pixels:
    """Pixels of a photograph, height x width x 3, uint8 or (16-bit PNG and TIFF) uint16, without loss.

    The EXIF orientation is applied. Grey becomes three equal channels, a palette its colours, CMYK is converted
    without a colour profile, an alpha channel is dropped. InputError names the file, the reason and the remedy.
    """
    path = Path(path)
    with _opened(path) as image:
        match image.format:
            case "PNG":
                deep = _deep_png(image, path)
            case "TIFF":
                deep = _deep_tiff(image, path)
            case _:
                deep = None
        return deep if deep is not None else np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def write_rgb(path: str | Path, image_HW3: npt.NDArray[np.uint8]) -> None:
    """Writes 8-bit RGB as PNG or JPEG by the suffix of `path`, completely or not at all."""
    path = Path(path)
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: photographs are written as PNG or JPEG; let the name end in .png or .jpg")
    with replacing(path) as partial:
        Image.fromarray(image_HW3).save(partial, format=kind, quality=95)


def _pairs(folder: Path, split: Split) -> Iterator[PhotoPair]:
    blurred, sharp = _photos(folder / "source"), _photos(folder / "target")
    for name in sorted(blurred.keys() ^ sharp.keys()):
        here, there = ("source", "target") if name in blurred else ("target", "source")
        raise InputError(
            f"{folder / here / name}: has no partner of the same name in {folder / there}; add it or remove this one"
        )
    for name in sorted(blurred):
        pair = PhotoPair(scene=Path(name).stem, split=split, blurred=blurred[name], sharp=sharp[name])
        if (size := _size(pair.blurred)) != (sharp_size := _size(pair.sharp)):
            raise InputError(
                f"{pair.blurred}: is {size[0]}x{size[1]} pixels, but its sharp partner {pair.sharp} is "
                f"{sharp_size[0]}x{sharp_size[1]}; crop or resize them to one size"
            )
        yield pair


def _photos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(
            f"{folder}: there is no such folder; blurred photographs belong into source, sharp into target"
        )
    return {path.name: path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."}


def _size(path: Path) -> tuple[int, int]:
    """Width and height as stored, from the header alone."""
    with _opened(path) as image:
        return image.size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The photograph with its header read and judged; what goes wrong later in the block is explained as well."""
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; copy the photograph again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
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
    except (SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read (damaged: {error}); give a whole photograph") from None


def _judge_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_PIXELS:
        raise InputError(
            f"{path}: is only {width}x{height} pixels; photographs need at least {SMALLEST_PIXELS} on each side"
        )
    if width * height > LARGEST_PIXELS:
        raise InputError(
            f"{path}: claims {width}x{height} pixels, more than {LARGEST_PIXELS // 10**6} million; "
            "scale it down or remove it"
        )


def _deep_png(image: Image.Image, path: Path) -> Pixels | None:
    """Pixels of a 16-bit PNG; None if `image` has 8 bits or fewer.

    Pillow keeps the high bytes of 16-bit RGB alone. Told that the samples are little-endian, it keeps the low
    bytes instead, so decoding twice gives every bit at the speed of its C code.
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
    data = path.read_bytes()
    high, low = (_decoded_bytes(data, order) for order in ("B", "L"))
    return _oriented((high.astype(np.uint16) << 8) | low, image)


def _decoded_bytes(data: bytes, order: str) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [tile._replace(args=str(tile.args)[:-1] + order) for tile in image.tile]
        return np.asarray(image)[:, :, :3]


def _deep_tiff(image: Image.Image, path: Path) -> Pixels | None:
    """Pixels of a TIFF of more than 8 bits, through tifffile, which keeps 16; None if `image` has 8 bits or fewer."""
    tags = getattr(image, "tag_v2", {})
    if max(tags.get(_BITS_PER_SAMPLE, (1,))) <= 8:
        return None
    import tifffile

    try:
        pixels = tifffile.imread(path, key=0)
    except (tifffile.TiffFileError, ValueError, IndexError, RuntimeError) as error:
        raise InputError(f"{path}: this TIFF cannot be read ({error}); save it as uncompressed TIFF or PNG") from None
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize != 2:
        raise InputError(f"{path}: holds {pixels.dtype} samples; save it with 8 or 16 bits per channel")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or tags.get(_PHOTOMETRIC) not in (1, 2):
        raise InputError(f"{path}: is a 16-bit TIFF that is neither grey nor RGB; save it as RGB")
    return _oriented(pixels[:, :, :3].astype(np.uint16), image)


def _oriented(pixels_HW3: npt.NDArray[Any], image: Image.Image) -> npt.NDArray[Any]:
    """`pixels_HW3` turned as the EXIF orientation of `image` asks."""
    turn = image.getexif().get(_ORIENTATION, 1)
    if turn in (5, 6, 7, 8):
        pixels_HW3 = pixels_HW3.transpose(1, 0, 2)
    rows = slice(None, None, -1) if turn in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if turn in (2, 3, 6, 7) else slice(None)
    return np.ascontiguousarray(pixels_HW3[rows, columns])
