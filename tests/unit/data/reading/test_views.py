"""Dual-pixel views: from a file to its place in a batch, however crops are cut, mirrored and turned."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.data.dataset.pair import Pair
from gkm.data.photos import read_rgb
from gkm.data.preparation.preparation import prepare, write_dataset
from gkm.data.preparation.sources import open_source
from gkm.data.reading.cache import NodeCache, open_split
from gkm.data.reading.loader import CropLoader
from gkm.errors import InputError

VIEWS = ("left", "right")
FOLDERS = {"blurred": "train_c/source/{}", "sharp": "train_c/target/{}", "left": "train_l/source/{}_L",
           "right": "train_r/source/{}_R"}  # fmt: skip
CROP = 24


@pytest.fixture
def files(tmp_path):
    """Four photographs in DPD's layout, each with its own range of grey levels, so that none passes for another."""
    generator = np.random.default_rng(3)
    for place, folder in enumerate(FOLDERS.values()):
        for number in range(2):
            path = tmp_path / "dpd" / f"{folder.format(f'IMG_{number}')}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(64 * place, 64 * place + 64, (40 + number, 52, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return tmp_path / "dpd"


@pytest.fixture
def data(files, tmp_path):
    prepare(open_source(files, views=True), tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(params=["cached", "streamed"])
def split(request, data, tmp_path):
    return open_split(
        data, "train", NodeCache(tmp_path / "cache", 0 if request.param == "streamed" else None), inputs=VIEWS
    )


def photo(files, column, name):
    return read_rgb(files / f"{FOLDERS[column].format(name)}.png")


def expected(files, column, name, loader, crops, index):
    """What numpy cuts out of the file itself: mirrored about a vertical axis, then turned to the left."""
    pixels = photo(files, column, name)
    top = int(crops.row[index] * (pixels.shape[0] - CROP + 1))
    left = int(crops.column[index] * (pixels.shape[1] - CROP + 1))
    window = pixels[top : top + CROP, left : left + CROP]
    window = np.fliplr(window) if crops.flip[index] else window
    return np.rot90(window, crops.quarter_turns[index])


def test_views_stay_in_their_places_under_every_flip_and_turn(files, split):
    loader = CropLoader(split, batch_size=4, crop_pixels=CROP, crops_per_photo=24, flips=True)
    crops, seen, index = loader.crops(0), set(), 0
    for batch in loader.epoch(0):
        assert batch.input_BCHW.shape == (4, 6, CROP, CROP)
        assert batch.sharp_B3HW.shape == (4, 3, CROP, CROP)
        for input_6HW, sharp_3HW in zip(batch.input_BCHW, batch.sharp_B3HW, strict=True):
            name = split.entries[crops.photo[index]].name
            for column, found in {"left": input_6HW[:3], "right": input_6HW[3:], "sharp": sharp_3HW}.items():
                levels = np.rint(found.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
                assert np.array_equal(levels, expected(files, column, name, loader, crops, index)), column
            seen.add((bool(crops.flip[index]), int(crops.quarter_turns[index])))
            index += 1
    assert len(seen) == 8


def test_pairs_have_all_four_photographs(files, split):
    again = pickle.loads(pickle.dumps(split))
    assert again.inputs == VIEWS
    for pair in (*split, *again):
        for column in FOLDERS:
            assert np.array_equal(getattr(pair, f"{column}_HW3"), photo(files, column, pair.name))
        assert [int(view.min()) // 64 for view in pair.seen(VIEWS)] == [2, 3]


def test_the_order_is_that_of_the_inputs(data, tmp_path):
    def batch(inputs):
        split = open_split(data, "train", tmp_path / "cache", inputs=inputs)
        return next(CropLoader(split, batch_size=2, crop_pixels=CROP).epoch(0)).input_BCHW

    there, back, alone = batch(VIEWS), batch(VIEWS[::-1]), batch(("right",))
    assert torch.equal(there, torch.cat([back[:, 3:], back[:, :3]], dim=1))
    assert torch.equal(there[:, 3:], alone)


def test_networks_with_and_without_views_share_a_cache_folder(data, tmp_path):
    photograph = open_split(data, "train", tmp_path / "cache")
    views = open_split(data, "train", tmp_path / "cache", inputs=VIEWS)
    assert (photograph.streamed, views.streamed) == (0, 0)
    assert photograph[0].left_HW3 is None
    assert len(list((tmp_path / "cache").glob("*.planes"))) == 2
    assert sum(f.stat().st_size for f in (tmp_path / "cache").glob("*-views.planes")) == 2 * sum(
        f.stat().st_size for f in (tmp_path / "cache").glob("*[!s].planes")
    )
    for one, other in zip(photograph, views, strict=True):
        assert np.array_equal(one.blurred_HW3, other.blurred_HW3)
        assert np.array_equal(one.sharp_HW3, other.sharp_HW3)


def test_both_views_get_noise_of_their_own(split):
    def batch(sigma):
        return next(CropLoader(split, batch_size=2, crop_pixels=CROP, noise_sigma_8bit=sigma).epoch(0))

    clean, noisy = batch(0.0), batch(5.0)
    noise = (noisy.input_BCHW - clean.input_BCHW) * 255
    assert noise[:, :3].std().item() == pytest.approx(5, rel=0.1)
    assert noise[:, 3:].std().item() == pytest.approx(5, rel=0.1)
    assert not torch.allclose(noise[:, :3], noise[:, 3:], atol=1)
    assert torch.equal(noisy.sharp_B3HW, clean.sharp_B3HW)


def test_a_data_set_without_views_is_refused_by_name(files, data, tmp_path, random_pair):
    prepare(open_source(files), tmp_path / "plain")
    with pytest.raises(
        InputError, match=r"plain: has no dual-pixel views of IMG_0/IMG_0, .* prepare it again with --views"
    ):
        open_split(tmp_path / "plain", "train", tmp_path / "cache", inputs=VIEWS)
    assert not (tmp_path / "cache").exists()
    whole, lacking = random_pair("a", 1), random_pair("b", 2)
    views = Pair("a", "a", whole.blurred_HW3, whole.sharp_HW3, left_HW3=whole.blurred_HW3, right_HW3=whole.sharp_HW3)
    one = Pair("b", "b", lacking.blurred_HW3, lacking.sharp_HW3, left_HW3=lacking.blurred_HW3)
    write_dataset([("train", views), ("train", one)], tmp_path / "mixed", {})
    with pytest.raises(InputError, match=r"mixed: has no dual-pixel views of b/b"):
        open_split(tmp_path / "mixed", "train", tmp_path / "cache", inputs=VIEWS)
    with pytest.raises(InputError, match=r"b/b: has no right view, which the network sees; .* again with --views"):
        one.seen(VIEWS)


@pytest.mark.parametrize(("column", "words"), [("left", "left view"), ("right", "right view")])
def test_views_of_another_size_or_depth_are_refused_by_file(files, tmp_path, column, words):
    path = files / f"{FOLDERS[column].format('IMG_1')}.png"
    Image.fromarray(np.zeros((41, 51, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match=rf"IMG_1\.png: is 52x41 pixels, but its {words} .*{path.name} is 51x41; crop"):
        open_source(files, views=True)
    Image.fromarray(np.zeros((41, 52), np.uint16)).save(path)
    with pytest.raises(InputError, match=rf"IMG_1\.png: has 8 bits per channel, but its {words} .*{path.name} has 16"):
        open_source(files, views=True)
