"""Photographs: every bit kept, the odd ones converted as documented, the hostile ones refused in a sentence."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from gkm.data.photos import read_header, read_rgb, write_rgb
from gkm.errors import InputError


def random_photo(seed, height=40, width=48, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype=dtype)


def png_bytes(samples, colour_type, chunks=()):
    """A 16-bit PNG of samples (H, W, channels), its rows filtered with each of PNG's five filters in turn."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = samples.shape
    step = 2 * channels
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    stream = bytearray()
    for index, row in enumerate(rows):
        above = rows[index - 1] if index else np.zeros_like(row)
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = (0, left, above, (left + above) // 2, paeth)[index % 5]
        stream += bytes([index % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(stream))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


PHOTO = random_photo(1)


@pytest.mark.parametrize("name", ["photo.png", "a b ü.PNG", "photo.tif", "photo.bmp"])
def test_8_bits_are_kept(tmp_path, name):
    Image.fromarray(PHOTO).save(tmp_path / name)
    read = read_rgb(tmp_path / name)
    assert read.dtype == np.uint8
    assert np.array_equal(read, PHOTO)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (0, 1)])
def test_16_bit_png_is_kept(tmp_path, colour_type, channels):
    samples = np.random.default_rng(2).integers(0, 65536, (41, 50, channels), dtype=np.uint16)
    (tmp_path / "deep.png").write_bytes(png_bytes(samples, colour_type))
    read = read_rgb(tmp_path / "deep.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, samples[:, :, :3] if channels > 1 else np.repeat(samples, 3, axis=2))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_tiff_is_kept_in_either_byte_order(tmp_path, byteorder):
    deep = random_photo(3, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, byteorder=byteorder, photometric="rgb")
    read = read_rgb(tmp_path / "deep.tif")
    assert read.dtype == np.uint16
    assert read.dtype.isnative
    assert np.array_equal(read, deep)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_exif_orientation_is_applied(tmp_path, orientation, deep):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if deep:
        content = png_bytes(PHOTO.astype(np.uint16) * 257, 2, [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))])
        (tmp_path / "turned.png").write_bytes(content)
    else:
        Image.fromarray(PHOTO).save(tmp_path / "turned.png", exif=exif)
    turned = {
        1: PHOTO,
        2: PHOTO[:, ::-1],
        3: PHOTO[::-1, ::-1],
        4: PHOTO[::-1],
        5: PHOTO.transpose(1, 0, 2),
        6: np.rot90(PHOTO, -1),
        7: np.rot90(PHOTO, 2).transpose(1, 0, 2),
        8: np.rot90(PHOTO, 1),
    }[orientation]
    assert np.array_equal(read_rgb(tmp_path / "turned.png"), turned.astype(np.uint16) * 257 if deep else turned)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_other_kinds_become_rgb(tmp_path, mode):
    image = Image.fromarray(PHOTO).convert(mode)
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image.save(path)
    read = read_rgb(path)
    assert np.array_equal(read, np.asarray(image.convert("RGB")))
    if mode == "RGBA":
        assert np.array_equal(read, PHOTO)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (32, 24), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert np.abs(read_rgb(tmp_path / "red.jpg").reshape(-1, 3).mean(axis=0) - (255, 0, 0)).max() < 5


def _bomb(side):
    content = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))
    return b"\x89PNG\r\n\x1a\n" + header + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def _saved(array, tmp_path, suffix=".png", **options):
    path = tmp_path / f"made{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, array, **options)
    else:
        Image.fromarray(array).save(path)
    return path.read_bytes()


HOSTILE = {
    "text.png": (lambda _: b"I am no photograph, whatever my name says.", "is no photograph"),
    "zero.png": (lambda _: b"", "is empty"),
    "short.png": (lambda tmp: _saved(PHOTO, tmp)[:2000], "cannot be read"),
    "short_deep.png": (lambda _: png_bytes(random_photo(1, dtype=np.uint16), 2)[:2000], "cannot be read"),
    "short.jpg": (lambda tmp: _saved(PHOTO, tmp, ".jpg")[:1500], "cannot be read"),
    "short_deep.tif": (
        lambda tmp: _saved(random_photo(1, dtype=np.uint16), tmp, ".tif", photometric="rgb")[:2000],
        "cannot be read",
    ),
    "header_only.png": (lambda tmp: _saved(PHOTO, tmp)[:20], "cannot be read|is no photograph"),
    "bomb.png": (lambda _: _bomb(40_000), "million pixels"),
    "tiny.png": (lambda tmp: _saved(PHOTO[:1, :1], tmp), "is only 1x1 pixels"),
    "nan.tif": (
        lambda tmp: _saved(np.full((30, 30), np.nan, np.float32), tmp, ".tif"),
        "holds float32 samples; save it with 8 or 16 bits",
    ),
    "nan_rgb.tif": (
        lambda tmp: _saved(np.full((30, 30, 3), np.nan, np.float32), tmp, ".tif", photometric="rgb"),
        "8 or 16 bits per channel",
    ),
    "grey_alpha_deep.png": (
        lambda _: png_bytes(random_photo(1, dtype=np.uint16)[:, :, :2], 4),
        "save it as 16-bit RGB",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_by_name_reason_and_remedy(tmp_path, name):
    make, reason = HOSTILE[name]
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    with pytest.raises(InputError, match=reason) as caught:
        read_rgb(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    (tmp_path / "large.png").write_bytes(_bomb(11_000))
    with pytest.raises(InputError, match="claims 11000x11000 pixels, more than 100 million"):
        read_rgb(tmp_path / "large.png")


def test_missing_photo_is_named():
    with pytest.raises(InputError, match=r"gone\.png: cannot be read \(no such file"):
        read_rgb("gone.png")


def test_written_photo_comes_back(tmp_path):
    write_rgb(tmp_path / "new" / "photo.png", PHOTO)
    assert np.array_equal(read_rgb(tmp_path / "new" / "photo.png"), PHOTO)
    write_rgb(tmp_path / "photo.jpg", np.full((32, 32, 3), 90, np.uint8))
    assert np.abs(read_rgb(tmp_path / "photo.jpg").astype(int) - 90).max() <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "photo.jpg"]


def test_unknown_kind_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"photo\.xyz: photographs are written as PNG or JPEG"):
        write_rgb(tmp_path / "photo.xyz", PHOTO)


@pytest.mark.parametrize("orientation", [1, 6])
def test_header_says_what_decoding_will_give(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "b.png").write_bytes(png_bytes(PHOTO.astype(np.uint16), 2))
    (tmp_path / "c.png").write_bytes(png_bytes(PHOTO[:, :, :1].astype(np.uint16), 0))
    tifffile.imwrite(tmp_path / "d.tif", PHOTO.astype(np.uint16), byteorder=">", photometric="rgb")
    Image.fromarray(PHOTO).convert("P").save(tmp_path / "e.png")
    for path in tmp_path.iterdir():
        header, photo = read_header(path), read_rgb(path)
        assert (header.height, header.width) == photo.shape[:2]
        assert header.bits == photo.dtype.itemsize * 8
        assert header.pixel_bytes == photo.nbytes
