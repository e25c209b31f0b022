"""Photographs of every odd kind: taken with the conversion that docs/data.md states, or refused in one sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from gkm.data.photos import read_header, read_rgb
from gkm.errors import InputError


def _photo(dtype=np.uint8, channels=3):
    photo = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (40, 48, channels), dtype=dtype)
    return photo[:, :, 0] if channels == 1 else photo


PHOTO = _photo()


def _file(array_or_image, kind="PNG", **options):
    buffer = io.BytesIO()
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def _bomb(side):
    """A PNG that claims side x side pixels and holds none."""
    content = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))
    return b"\x89PNG\r\n\x1a\n" + header + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_grey_alpha_and_palette_become_rgb(tmp_path, mode):
    image = Image.fromarray(PHOTO).convert(mode)
    (tmp_path / "photo.png").write_bytes(_file(image))
    read = read_rgb(tmp_path / "photo.png")
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.asarray(image.convert("RGB")))
    if mode == "RGBA":
        assert np.array_equal(read, PHOTO)


def test_palette_with_transparency_keeps_its_colours(tmp_path):
    image = Image.fromarray(PHOTO).convert("P")
    (tmp_path / "photo.png").write_bytes(_file(image, transparency=0))
    assert np.array_equal(read_rgb(tmp_path / "photo.png"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(tmp_path, kind):
    path = tmp_path / f"red.{kind.lower()}"
    path.write_bytes(_file(Image.new("CMYK", (32, 24), (0, 255, 255, 0)), kind))
    assert np.abs(read_rgb(path).reshape(-1, 3).mean(axis=0) - (255, 0, 0)).max() < 5


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_jpeg_is_turned_back(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "turned.jpg").write_bytes(_file(np.asarray(PHOTO), "JPEG", exif=exif, quality=100))
    (tmp_path / "upright.jpg").write_bytes(_file(np.asarray(PHOTO), "JPEG", quality=100))
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    assert np.array_equal(read_rgb(tmp_path / "turned.jpg"), np.rot90(read_rgb(tmp_path / "upright.jpg"), turns))
    assert read_header(tmp_path / "turned.jpg")[:2] == ((40, 48) if orientation != 3 else (48, 40))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_in_either_byte_order(tmp_path, byteorder, channels):
    deep = _photo(np.uint16, channels)
    kind = {"photometric": "minisblack"} if channels == 1 else {"photometric": "rgb"}
    (tmp_path / "deep.tif").write_bytes(_tiff(deep, byteorder=byteorder, **kind))
    read = read_rgb(tmp_path / "deep.tif")
    assert (read.dtype, read.dtype.isnative) == (np.uint16, True)
    assert np.array_equal(read, np.repeat(deep[:, :, None], 3, axis=2) if channels == 1 else deep[:, :, :3])


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_with_one_channel_after_the_other(tmp_path, channels):
    deep = _photo(np.uint16, channels)
    planes = _tiff(np.ascontiguousarray(deep.transpose(2, 0, 1)), photometric="rgb", planarconfig="separate")
    (tmp_path / "planes.tif").write_bytes(planes)
    assert np.array_equal(read_rgb(tmp_path / "planes.tif"), deep[:, :, :3])


REFUSED = {
    "truncated.png": (_file(PHOTO)[:2000], r"cannot be read \(damaged or cut short"),
    "truncated.jpg": (_file(PHOTO, "JPEG")[:1500], "cannot be read"),
    "truncated.tif": (_tiff(_photo(np.uint16), photometric="rgb")[:2000], "cannot be read"),
    "deflated.tif": (_tiff(_photo(np.uint16), photometric="rgb", compression="zlib")[:5000], "TIFF cannot be read"),
    "deep_grey.pgm": (b"P5 48 40 65535\n" + _photo(np.uint16, 1).astype(">u2").tobytes(), "is PPM of more than 8 bits"),
    "deep_grey.png": (_file(_photo(np.uint16, 1), "JPEG2000"), "is JPEG2000 of more than 8 bits"),
    "header_alone.png": (_file(PHOTO)[:20], "cannot be read|is no photograph"),
    "flipped.png": (_file(PHOTO)[:600] + b"\xff\x00\xff" + _file(PHOTO)[603:], "cannot be read"),
    "zero.png": (b"", "is empty; copy the photograph again"),
    "text.png": (b"I am no photograph, whatever my name says.", "is no photograph that can be read; give a PNG, JPEG"),
    "page.png": (b"<html><body>404 Not Found</body></html>", "is no photograph"),
    "one_pixel.png": (_file(PHOTO[:1, :1]), "is only 1x1 pixels; photographs need at least 16 on each side"),
    "sliver.png": (_file(PHOTO[:15]), "is only 48x15 pixels"),
    "bomb.png": (_bomb(40_000), "million pixels; scale it down or remove it"),
    "large.png": (_bomb(11_000), "claims 11000x11000 pixels, more than 100 million"),
    "nan.tif": (_tiff(np.full((30, 30), np.nan, np.float32)), "holds float32 samples; save it with 8 or 16 bits"),
    "nan_rgb.tif": (
        _tiff(np.full((30, 30, 3), np.nan, np.float32), photometric="rgb"),
        "8 or 16 bits per channel",
    ),
    "deep_integers.tif": (_tiff(np.zeros((30, 30, 3), np.uint32), photometric="rgb"), "8 or 16 bits per channel"),
    "deep_cmyk.tif": (_tiff(np.zeros((30, 30, 4), np.uint16), photometric="separated"), "neither grey nor RGB"),
}


def _refused(path, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read_rgb(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "; " in sentence, "it says what to do"
    assert "\n" not in sentence


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_by_name_reason_and_remedy(tmp_path, name):
    content, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, reason)


def test_16_bit_png_cut_short_or_with_grey_and_alpha_is_refused(tmp_path, png_bytes):
    (tmp_path / "short.png").write_bytes(png_bytes(_photo(np.uint16), 2)[:2000])
    _refused(tmp_path / "short.png", "cannot be read")
    (tmp_path / "grey_alpha.png").write_bytes(png_bytes(_photo(np.uint16, 2), 4))
    _refused(tmp_path / "grey_alpha.png", "16-bit grey with alpha is not supported; save it as 16-bit RGB")


def test_link_in_a_circle_is_refused(tmp_path):
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    _refused(tmp_path / "round.png", r"cannot be read \(too many levels of symbolic links\)")


def test_folder_with_the_name_of_a_photograph_is_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    _refused(tmp_path / "folder.png", r"cannot be read \(is a directory\)|is empty")
