"""The sample set: whole scenes in one split each, blurred as much as a small network can mend."""

import pickle

import numpy as np
import pytest

from gkm.data.photos import SPLITS
from gkm.data.preparation.sources import sample_source
from gkm.data.simulation import sample
from gkm.errors import InputError


def test_seven_scenes_are_split_by_scene():
    source = sample_source()
    scenes = {split: {item.scene for item in source.items if item.split == split} for split in SPLITS}
    assert [len(scenes[split]) for split in SPLITS] == [4, 1, 2]
    assert len(set.union(*scenes.values())) == 7
    assert "motorcycle" in scenes["test"]
    assert [source.count(split) for split in SPLITS] == [12, 3, 6]


@pytest.mark.parametrize("scene", ["motorcycle", "chelsea"])
def test_shot_is_blurred_moderately_and_the_same_each_time(scene):
    item = next(item for item in sample_source().items if item.scene == scene)
    pair = pickle.loads(pickle.dumps(item)).load()
    error = np.square(pair.blurred_HW3.astype(float) - pair.sharp_HW3).mean()
    assert 23 < 10 * np.log10(255**2 / error) < 32
    assert np.array_equal(pair.blurred_HW3, item.load().blurred_HW3)
    assert (pair.scene, pair.name) == (scene, f"{scene}-1")


def test_missing_package_file_is_named(monkeypatch):
    scene = sample.SCENES[0]
    with pytest.raises(InputError, match=r"skimage/data/gone\.png: this sample photograph is not installed; install"):
        sample.render(sample.Scene(**{**vars(scene), "file": "data/gone.png"}), 0)
