"""All that a restored photograph keeps of its file: read, written in each format, and read again by others."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageCms

from gkm.data.photos import Upload, read_rgb
from gkm.errors import InputError
from gkm.restoration.exif import PREFIX
from gkm.restoration.photograph import Photograph, read_photograph
from gkm.restoration.writing import FORMATS, encode, fitting

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CAMERA, LENS_NOTES, NORTH = "Pentax", b"notes\0of the maker", "N"


def pixels(dtype: Any = np.uint8, channels: int = 3, height: int = 40, width: int = 52) -> npt.NDArray[Any]:
    generator = np.random.default_rng(3)
    return generator.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


def exif(orientation: int = 6) -> bytes:
    tags = Image.Exif()
    tags[271], tags[274] = CAMERA, orientation
    tags[0x8769] = {36867: "2020:02:03 04:05:06", 37500: LENS_NOTES}
    tags[0x8825] = {1: NORTH, 2: (1.0, 2.0, 3.0)}
    return tags.tobytes()


def file_of(image: Image.Image | npt.NDArray[Any], kind: str, **options: Any) -> Upload:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return Upload("the photograph", buffer.getvalue())


def written(photograph: Photograph, form: Any) -> Upload:
    buffer = io.BytesIO()
    encode(buffer, photograph, form)
    return Upload("the restored one", buffer.getvalue())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_and_profile_are_kept_and_the_photograph_stands_upright(kind: str, form: str) -> None:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    read = read_photograph(file_of(pixels(), kind, exif=exif(), icc_profile=SRGB, **lossless))
    assert read.size == (40, 52)
    if kind != "JPEG":
        assert np.array_equal(read.rgb_HW3, np.rot90(pixels(), -1))
    file = written(read, form)
    with Image.open(file.open()) as image:
        tags = image.getexif()
        assert (image.size, tags.get(274, 1)) == ((40, 52), 1)
        assert (tags[271], tags.get_ifd(0x8769)[37500], tags.get_ifd(0x8825)[1]) == (CAMERA, LENS_NOTES, NORTH)
        assert image.info["icc_profile"] == SRGB
    again = read_photograph(file)
    if form != "jpeg":
        assert np.array_equal(again.rgb_HW3, read.rgb_HW3)
    assert again.size == read.size


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_every_bit_of_colours_and_alpha_is_kept(dtype: Any, channels: int, order: bytes) -> None:
    """In TIFF in the byte order of the EXIF data; large enough for several strips and blocks of rows."""
    all_HWC = pixels(dtype, channels, 300, 2500)
    structure = exif(1).removeprefix(PREFIX) if order == b"MM" else None
    photograph = Photograph(rgb_HW3=all_HWC[:, :, :3], alpha_HW=all_HWC[:, :, 3] if channels == 4 else None)
    photograph = Photograph(rgb_HW3=photograph.rgb_HW3, alpha_HW=photograph.alpha_HW, exif=structure)
    for form in ("png", "tiff"):
        file = written(photograph, form)
        again = read_photograph(file)
        assert (again.bits, again.kind) == (np.dtype(dtype).itemsize * 8, form.upper())
        assert np.array_equal(again.with_alpha_HWC, all_HWC)
    assert file.content[:2] == order
    assert np.array_equal(tifffile.imread(file.open()), all_HWC)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_pixels_are_those_that_a_data_set_would_have(tmp_path, mode: str) -> None:
    image = Image.fromarray(pixels()).convert(mode)
    file = file_of(image, "PNG", **({"transparency": 0} if mode == "P" else {}))
    (tmp_path / "a.png").write_bytes(file.content)
    read = read_photograph(tmp_path / "a.png")
    assert np.array_equal(read.rgb_HW3, read_rgb(tmp_path / "a.png"))
    assert (read.alpha_HW is not None) == (mode in ("LA", "RGBA", "P"))
    if mode == "P":
        assert read.alpha_HW is not None
        assert set(np.unique(read.alpha_HW)) == {0, 255}


def test_alpha_is_turned_with_the_colours() -> None:
    read = read_photograph(file_of(pixels(channels=4), "PNG", exif=exif(8)))
    assert np.array_equal(read.with_alpha_HWC, np.rot90(pixels(channels=4)))


def test_jpeg_takes_an_opaque_photograph_and_refuses_what_it_cannot_keep() -> None:
    opaque = Photograph(rgb_HW3=pixels(np.uint16), alpha_HW=np.full((40, 52), 65535, np.uint16))
    again = read_photograph(written(opaque, "jpeg"))
    assert (again.bits, again.alpha_HW, again.size) == (8, None, (52, 40))
    long = Photograph(rgb_HW3=pixels(), exif=exif().removeprefix(PREFIX) + bytes(66_000))
    wide = Photograph(rgb_HW3=np.zeros((1, 65_536, 3), np.uint8))
    clear = Photograph(rgb_HW3=pixels(), alpha_HW=np.zeros((40, 52), np.uint8))
    for photograph, reason in ((long, "EXIF data is too long"), (wide, "JPEG at most 65535"), (clear, "transparent")):
        with pytest.raises(InputError, match=f"^it: .*{reason}.*; write PNG or TIFF"):
            fitting(photograph, "jpeg", "it")
        assert fitting(photograph, "png", "it") is photograph


def test_thumbnails_of_the_blurred_photograph_are_left_out_and_other_pages_of_a_camera_are_no_animation() -> None:
    main, preview = Image.fromarray(pixels()), Image.fromarray(pixels(height=20, width=26))
    several = file_of(main, "MPO", save_all=True, append_images=[preview])
    assert read_photograph(several).size == (52, 40)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(pixels(), photometric="rgb")
        writer.write(pixels(height=20, width=26), photometric="rgb", subfiletype=1)
    assert np.array_equal(read_photograph(Upload("a", buffer.getvalue())).rgb_HW3, pixels())


def test_profiles_that_do_not_fit_or_are_damaged_are_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    assert lab.tobytes()[16:20] == b"Lab "
    for icc in (lab.tobytes(), SRGB, b"CMYK" * 40, b"damaged"):  # of other colours, or damaged: as without one
        read = read_photograph(file_of(Image.new("CMYK", (32, 24), (0, 255, 255, 0)), "JPEG", icc_profile=icc))
        assert np.abs(read.rgb_HW3.reshape(-1, 3).mean(axis=0) - (255, 0, 0)).max() < 5
        assert read.icc in (None, SRGB)


def linear_grey() -> bytes:
    """A colour profile of grey levels that are light itself, without a gamma."""
    parts = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061), b"kTRC": b"curv" + bytes(8)}
    table, content, place = struct.pack(">I", len(parts)), b"", 128 + 4 + 12 * len(parts)
    for name, part in parts.items():
        table += struct.pack(">4sII", name, place + len(content), len(part))
        content += part
    header = struct.pack(
        ">I4sI4s4s4s12x4s", place + len(content), b"\0" * 4, 0x04200000, b"mntr", b"GRAY", b"XYZ ", b"acsp"
    )
    light = struct.pack(">3i", 63190, 65536, 54061)
    return (header.ljust(68, b"\0") + light).ljust(128, b"\0") + table + content


def test_grey_with_a_profile_of_its_own_becomes_srgb_by_it() -> None:
    """Half the light is level 188 in sRGB."""
    half = file_of(np.full((20, 30), 128, np.uint8), "PNG", icc_profile=linear_grey())
    read = read_photograph(half)
    assert np.abs(read.rgb_HW3.astype(int) - 188).max() <= 1
    assert read.icc is None


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_damaged_files_are_read_or_refused_in_a_sentence(kind: str, seed: int) -> None:
    """Bytes changed at random, most of them where the EXIF data are."""
    whole = file_of(pixels(), kind, exif=exif(), icc_profile=SRGB).content
    generator = np.random.default_rng(seed)
    middle = max(whole.find(CAMERA.encode()), 60)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(max(middle - 200, 8), min(middle + 300, len(whole)), 4):
            damaged[place] = generator.integers(256)
        try:
            read = read_photograph(Upload("it", bytes(damaged)))
        except InputError as error:
            sentence = str(error)
        else:
            sentence = "it: read; written"
            for form in ("png", "tiff"):
                assert read_photograph(written(read, form)).size == read.size
        assert sentence.startswith("it: ")
        assert "; " in sentence


def test_most_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(InputError, match=r"it: has 52x40 pixels, more than 0.002 million; scale it down"):
        read_photograph(Upload("it", file_of(pixels(), "PNG").content[:60]), most_pixels=2000)
