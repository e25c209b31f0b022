"""What a registered model takes and gives: arrays, JSON's numbers, files as base64, tables."""

import base64
import io
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from gkm.config import DPDNetConfig, ModelConfig
from gkm.data.photos import Upload
from gkm.errors import InputError
from gkm.evaluation import restore_image
from gkm.networks import Network, build
from gkm.restoration.photograph import Photograph, read_photograph
from gkm.restoration.requests import answer
from gkm.restoration.restoring import restore
from gkm.restoration.writing import encode


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
    torch.nn.init.constant_(made.blocks[0].omega_y, 0.5)
    return made


@pytest.fixture(scope="module")
def dual() -> Network:
    torch.manual_seed(0)
    return build(DPDNetConfig(width=2, depth=3, views="dual"))


def photo(seed: int = 0, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (20, 24, 3), dtype=dtype)


def text_of(pixels: Any, form: Any = "png") -> str:
    buffer = io.BytesIO()
    encode(buffer, Photograph(rgb_HW3=pixels, exif=None), form)
    return base64.b64encode(buffer.getvalue()).decode()


def read(text: str) -> Photograph:
    return read_photograph(Upload("it", base64.b64decode(text, validate=True)))


def test_arrays_and_jsons_numbers_give_arrays(network: Network, dual: Network) -> None:
    expected = restore_image(network, photo())
    for seen in (photo(), photo().astype(object), {"photograph": photo()}):
        given = answer(network, seen)
        assert (given.dtype, np.array_equal(given, expected)) == (np.uint8, True)
    views = answer(dual, {"right": photo(2), "left": photo(1)})
    assert np.array_equal(views, restore_image(dual, photo(1), photo(2)))


@pytest.mark.parametrize("wrap", [str, lambda text: [text], lambda text: np.array([text], object), np.array])
def test_files_give_files(network: Network, wrap: Any) -> None:
    (given,) = answer(network, wrap(text_of(photo())))
    assert list(given) == ["photograph"]
    assert np.array_equal(read(given["photograph"]).rgb_HW3, restore_image(network, photo()))


def test_tables_give_a_file_for_each_row_in_its_own_format(network: Network, dual: Network) -> None:
    deep = photo(1, np.uint16)
    table = pandas.DataFrame({"whatever": [text_of(photo()), text_of(deep, "tiff")]})
    first, second = (read(row["photograph"]) for row in answer(network, table))
    assert (first.kind, first.bits, second.kind, second.bits) == ("PNG", 8, "TIFF", 16)
    assert np.array_equal(second.rgb_HW3, restore(network, Photograph(rgb_HW3=deep)).rgb_HW3)
    views = pandas.DataFrame({"left": [text_of(photo(1))], "right": [text_of(photo(2))]})
    (given,) = answer(dual, views)
    assert np.array_equal(read(given["photograph"]).rgb_HW3, restore_image(dual, photo(1), photo(2)))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (photo()[:, :, :1], r"shape \(20, 24, 1\) is no photograph"),
        (photo()[:10], "at least 16 pixels a side"),
        (photo() / 255, "array of float64 is no photograph; give whole numbers from 0 to 255"),
        (photo().astype(np.int64), "array of int64"),
        (photo().astype(object) + 256, "array of object"),
        (photo()[0], r"shape \(24, 3\) are no photograph"),
        ("no base64!", "photograph: is not base64; give"),
        (base64.b64encode(b"words").decode(), "photograph: is no photograph that can be read"),
        (["", 7], "photograph: is empty"),
        ([None], "photograph: is not base64"),
        ({"left": photo(), "right": photo()}, "the network sees photograph, but was given left, right"),
        ({}, "was given nothing"),
    ],
)
def test_what_is_no_photograph_is_said(network: Network, seen: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        answer(network, seen)


def test_views_that_do_not_fit_are_said(dual: Network) -> None:
    for seen, reason in (
        (photo(), "sees left and right; give both by name"),
        ({"left": photo()}, "sees left and right, but was given left"),
        ({"left": [text_of(photo())] * 2, "right": [text_of(photo())]}, "there are 2 and 1 views"),
    ):
        with pytest.raises(InputError, match=reason):
            answer(dual, seen)


def test_animations_are_refused(network: Network) -> None:
    buffer = io.BytesIO()
    pictures = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match="photograph: is an animation of 2 pictures"):
        answer(network, base64.b64encode(buffer.getvalue()).decode())
