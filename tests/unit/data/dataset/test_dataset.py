"""A data set is opened once and passed on."""

import pytest

from gkm.data.dataset import dataset as module
from gkm.data.dataset.dataset import open_dataset
from gkm.data.reading.cache import open_split
from gkm.errors import InputError


def test_an_open_data_set_is_not_read_again(data, tmp_path, monkeypatch):
    dataset = open_dataset(data)
    monkeypatch.setattr(module, "read_manifest", lambda place: pytest.fail("it was read again"))
    assert open_dataset(dataset) is dataset
    splits = [open_split(dataset, split, tmp_path / "cache") for split in ("train", "validation")]
    assert [len(split) for split in splits] == [5, 2]
    assert splits[0].entries == dataset.entries("train")
    assert splits[0].manifest.fingerprint == dataset.fingerprint


def test_what_it_lacks_is_refused_with_its_place(data):
    dataset = open_dataset(data)
    dataset.require("train", "validation", "test")
    dataset.refuse_crops(32)
    with pytest.raises(InputError, match=f"{data}: its smallest photograph to train on has 32 pixels a side, .* 33"):
        dataset.refuse_crops(33)
    left = {split: info for split, info in dataset.manifest.splits.items() if split != "test"}
    without = module.Dataset(str(data), dataset.manifest.model_copy(update={"splits": left}))
    for ask in (without.require, without.entries):
        with pytest.raises(InputError, match=f"{data}: has no test photographs, only train, validation"):
            ask("test")


def test_a_place_without_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no data set"):
        open_dataset(tmp_path)
