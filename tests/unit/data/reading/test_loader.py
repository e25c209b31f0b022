"""Batches: real crops of real pairs, the same for a seed, however they are shared out or resumed."""

import numpy as np
import pytest
import torch

from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import NodeCache, open_split
from gkm.data.reading.loader import CropLoader
from gkm.errors import InputError


@pytest.fixture
def split(data, tmp_path):
    return open_split(data, "train", tmp_path / "cache")


def _loader(split, **options):
    return CropLoader(split, **{"batch_size": 4, "crop_pixels": 32, "crops_per_photo": 6, **options})


def _stacked(batches):
    pairs = [(batch.input_BCHW, batch.sharp_B3HW) for batch in batches]
    return torch.stack([torch.cat(side) for side in zip(*pairs, strict=True)])


def _places(crop_3HW, pairs, side):
    """Every (photo, turns, flip, top, left) at which the crop is found."""
    pixels = np.rint(crop_3HW.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    found = []
    for flip in (False, True):
        for turns in range(4):
            # crops are mirrored first and turned then, so this undoes it in the other order
            upright = np.rot90(pixels, -turns)[:, ::-1] if flip else np.rot90(pixels, -turns)
            for index, pair in enumerate(pairs):
                photo = getattr(pair, side)
                corners = np.argwhere((photo[:-31, :-31] == upright[0, 0]).all(axis=2))
                found += [
                    (index, turns, flip, int(top), int(left))
                    for top, left in corners
                    if np.array_equal(photo[top : top + 32, left : left + 32], upright)
                ]
    return found


@pytest.mark.parametrize("flips", [False, True])
def test_both_crops_come_from_the_same_place(split, flips):
    seen = set()
    for batch in _loader(split, flips=flips).epoch(0):
        assert batch.input_BCHW.shape == batch.sharp_B3HW.shape == (4, 3, 32, 32)
        assert batch.input_BCHW.dtype == torch.float32
        for blurred, sharp in zip(batch.input_BCHW, batch.sharp_B3HW, strict=True):
            (place,) = _places(blurred, split, "blurred_HW3")
            assert [place] == _places(sharp, split, "sharp_HW3")
            seen.add(place)
    assert {place[0] for place in seen} == set(range(5))
    assert len({place[1:3] for place in seen}) == (8 if flips else 1)
    assert {0, 32 - 31} <= {place[4] for place in seen if place[0] == 1}, "the borders are reached"


def test_a_batch_is_described_by_its_photographs_and_places(split):
    alone = _loader(split, batch_size=16)
    batch = next(alone.epoch(2, start_batch=1))
    text = alone.described(2, 1)
    assert text.startswith("crops of ")
    assert text.endswith(" and 8 more")
    shown = text.removeprefix("crops of ").removesuffix(" and 8 more").split("; ")
    assert len(shown) == 8
    for crop, words in zip(batch.sharp_B3HW, shown, strict=False):
        ((photo, _, _, top, left),) = _places(crop, split, "sharp_HW3")
        entry = split.entries[photo]
        assert words == f"{entry.scene}/{entry.name} at row {top}, column {left}"
    second = _loader(split, batch_size=16, rank=1, world_size=2)
    assert second.described(2, 1).split("; ")[0] != text.split("; ")[0], "of this worker's share"


def test_every_photo_is_seen_as_often_as_asked(split):
    loader = _loader(split, crops_per_photo=2)
    assert loader.batches_per_epoch == 3
    counts = np.bincount(loader.crops(0).photo)
    assert counts.sum() == 12
    assert counts.min() == 2


def test_white_is_exactly_one(tmp_path, random_pair):
    for dtype in (np.uint8, np.uint16):
        pair = random_pair("a", 1, 40, 40, dtype)
        pair.blurred_HW3[:] = np.iinfo(dtype).max
        pair.sharp_HW3[:] = 0
        write_dataset([("train", pair)], tmp_path / dtype.__name__, {})
        loader = _loader(open_split(tmp_path / dtype.__name__, "train", tmp_path / "cache"))
        batch = next(loader.epoch(0))
        assert batch.input_BCHW.min() == 1
        assert batch.sharp_B3HW.max() == 0


def test_seed_and_epoch_decide_the_crops(split):
    first = _stacked(_loader(split).epoch(3))
    assert torch.equal(first, _stacked(_loader(split).epoch(3)))
    assert not torch.equal(first, _stacked(_loader(split).epoch(4)))
    assert not torch.equal(first, _stacked(_loader(split, seed=1).epoch(3)))


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_resuming_at_a_batch_gives_the_identical_rest(split, noise):
    loader = _loader(split, flips=True, noise_sigma_8bit=noise)
    whole = list(loader.epoch(2))
    assert len(whole) == loader.batches_per_epoch == 8
    for start in (1, 5, 8):
        rest = list(_loader(split, flips=True, noise_sigma_8bit=noise).epoch(2, start_batch=start))
        assert len(rest) == 8 - start
        for ours, theirs in zip(rest, whole[start:], strict=True):
            assert torch.equal(ours.input_BCHW, theirs.input_BCHW)
            assert torch.equal(ours.sharp_B3HW, theirs.sharp_B3HW)


def test_crops_that_grow_are_cut_at_the_same_places_whole_or_resumed(split):
    sides = [16, 16, 32]
    growing = _loader(split, side_at=sides.__getitem__, flips=True)
    for epoch, side in enumerate(sides):
        batches = list(growing.epoch(epoch))
        assert {batch.sharp_B3HW.shape[-2:] for batch in batches} == {(side, side)}
        resumed = _loader(split, side_at=sides.__getitem__, flips=True)
        next(iter(resumed.epoch(0)))  # of another size, perhaps
        assert torch.equal(_stacked(resumed.epoch(epoch, 3)), _stacked(batches[3:]))
        fixed = _loader(split, crop_pixels=side, flips=True)
        assert torch.equal(_stacked(fixed.epoch(epoch)), _stacked(batches))
        assert growing.described(epoch, 1) == fixed.described(epoch, 1)


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_ranks_share_the_same_batches_without_overlap(split, noise):
    alone = _loader(split, flips=True, noise_sigma_8bit=noise)
    ranks = [_loader(split, flips=True, noise_sigma_8bit=noise, rank=rank, world_size=2) for rank in (0, 1)]
    assert {loader.batches_per_epoch for loader in (alone, *ranks)} == {8}
    for whole, *parts in zip(alone.epoch(1), *(rank.epoch(1) for rank in ranks), strict=True):
        assert [len(part.input_BCHW) for part in parts] == [2, 2]
        assert torch.equal(whole.input_BCHW, torch.cat([part.input_BCHW for part in parts]))
        assert torch.equal(whole.sharp_B3HW, torch.cat([part.sharp_B3HW for part in parts]))
        assert len({crop.numpy().tobytes() for crop in whole.sharp_B3HW}) == 4


def test_more_ranks_than_crops_get_one_each(split):
    loaders = [_loader(split, batch_size=2, rank=rank, world_size=3) for rank in range(3)]
    assert [len(next(loader.epoch(0)).sharp_B3HW) for loader in loaders] == [1, 1, 1]


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_streaming_and_threads_give_the_same_batches(data, split, tmp_path, noise):
    streamed = open_split(data, "train", NodeCache(tmp_path / "cache", 0))
    assert (_loader(split).workers, _loader(streamed).workers > 0) == (0, True)
    wanted = _stacked(_loader(split, flips=True, noise_sigma_8bit=noise).epoch(1, start_batch=2))
    for pairs, workers in ((streamed, 0), (streamed, 3), (split, 1), (split, 16)):
        loader = _loader(pairs, flips=True, noise_sigma_8bit=noise, workers=workers)
        assert torch.equal(_stacked(loader.epoch(1, start_batch=2)), wanted)


def test_noise_is_on_the_blurred_crops_alone_and_of_its_sigma(split):
    clean = _stacked(_loader(split).epoch(0))
    noisy = _stacked(_loader(split, noise_sigma_8bit=5).epoch(0))
    assert torch.equal(clean[1], noisy[1])
    noise = (noisy[0] - clean[0]) * 255
    assert noise.std().item() == pytest.approx(5, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.1)
    assert noisy[0].max() > 1, "noise is not clamped"


def test_photo_smaller_than_the_crop_is_named_with_the_setting(split):
    with pytest.raises(InputError, match=r"scene 1/scene 1 .* 33x64 pixels.*data\.crop_pixels = 36.*to 33 or less"):
        _loader(split, crop_pixels=36)


def test_sharp_crops_can_be_as_bright_as_their_partners(split):
    def means(crops_B3HW):
        return crops_B3HW.mean((2, 3))

    for plain, matched in zip(_loader(split).epoch(0), _loader(split, match_brightness=True).epoch(0), strict=True):
        assert torch.equal(plain.input_BCHW, matched.input_BCHW)
        gain_B3 = means(plain.input_BCHW) / means(plain.sharp_B3HW)
        assert (gain_B3 - 1).abs().max() > 1e-3
        gain_B3 = gain_B3.clamp(0.8, 1.25)
        torch.testing.assert_close(matched.sharp_B3HW, plain.sharp_B3HW * gain_B3[..., None, None])
