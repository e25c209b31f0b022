"""Photographs: every bit kept, turned as they ask to be, written whole."""

from fractions import Fraction

import numpy as np
import pytest
import tifffile
from PIL import Image

from gkm.data.photos import as_8bit, quantised, read_header, read_rgb
from gkm.errors import InputError


def random_photo(seed, height=40, width=48, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype=dtype)


PHOTO = random_photo(1)


@pytest.mark.parametrize("name", ["photo.png", "a b ü.PNG", "photo.tif", "photo.bmp"])
def test_8_bits_are_kept(tmp_path, name):
    Image.fromarray(PHOTO).save(tmp_path / name)
    read = read_rgb(tmp_path / name)
    assert read.dtype == np.uint8
    assert np.array_equal(read, PHOTO)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (0, 1)])
def test_16_bit_png_is_kept(tmp_path, png_bytes, colour_type, channels):
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
def test_exif_orientation_is_applied(tmp_path, png_bytes, orientation, deep):
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


def test_missing_photo_is_named():
    with pytest.raises(InputError, match=r"gone\.png: cannot be read \(no such file"):
        read_rgb("gone.png")


@pytest.mark.parametrize("orientation", [1, 6])
def test_header_says_what_decoding_will_give(tmp_path, png_bytes, orientation):
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


def test_each_of_the_16_bit_values_becomes_the_nearest_8_bit_value():
    deep = np.arange(65536, dtype=np.uint16)
    exact = [round(Fraction(value * 255, 65535)) for value in range(65536)]
    assert as_8bit(deep).dtype == np.uint8
    assert np.array_equal(as_8bit(deep), exact)


def test_the_way_through_a_tensor_gives_the_same_8_bits():
    """What a network leaves unchanged looks like its input beside it."""
    from gkm.evaluation import to_8bit, to_tensor

    deep = np.arange(65536, dtype=np.uint16).reshape(128, 512)[:, :, None].repeat(3, axis=2)
    assert np.array_equal(to_8bit(to_tensor(deep)), as_8bit(deep))


def test_8_bits_stay_and_floats_are_refused():
    assert np.array_equal(as_8bit(PHOTO), PHOTO)
    with pytest.raises(ValueError, match="8 or 16 bits a channel, but this one is float32"):
        as_8bit(PHOTO.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_clamped_and_rounded(dtype):
    white = np.iinfo(dtype).max
    levels = quantised(np.array([-3.0, 0.4, 0.6, white - 0.4, white + 9.0]), np.dtype(dtype))
    assert levels.dtype == dtype
    assert levels.tolist() == [0, 0, 1, white, white]
