"""Photographs that occur twice."""

import io

import numpy as np
import pytest
from PIL import Image

from gkm.data.preparation.alignment import shrunk
from gkm.data.preparation.duplicates import Photograph, Print, find_duplicates


def _photograph(split, scene, photo):
    return Photograph(split, scene, scene, str(hash(photo.tobytes())), Print.of(shrunk(photo)))


def _compressed(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


CHANGES = {
    "the same": lambda photo: photo,
    "compressed": _compressed,
    "half the size": lambda photo: np.asarray(Image.fromarray(photo).resize((64, 48), Image.Resampling.LANCZOS)),
    "darker": lambda photo: (photo * 0.7).astype(np.uint8),
    "16 bits": lambda photo: photo.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("change", CHANGES)
def test_copy_in_another_split_is_found(scene_photos, change):
    photos = [scene_photos(seed)[1] for seed in range(6)]
    all_of_them = [_photograph("train", f"scene {number}", photo) for number, photo in enumerate(photos)]
    all_of_them.append(_photograph("test", "again", CHANGES[change](photos[3])))
    (found,) = find_duplicates(all_of_them)
    assert found.leaks
    assert found.exact == (change == "the same")
    assert str(found) == f"train scene 3 and test again are {'' if found.exact else 'nearly '}the same"


def test_strangers_are_not_taken_for_each_other(scene_photos):
    photos = [_photograph("train", str(seed), photo) for seed in range(40) for photo in scene_photos(seed)]
    assert find_duplicates(photos) == []
    assert find_duplicates([]) == []


def test_shots_of_a_scene_may_be_alike_within_a_split_only(scene_photos):
    blurred, sharp = scene_photos(0)
    shots = [_photograph("train", "hall", photo) for photo in (blurred, sharp, sharp)]
    assert find_duplicates(shots) == []
    (found,) = find_duplicates([*shots, _photograph("test", "hall", blurred)])
    assert (found.leaks, found.exact) == (True, True)


def test_leaks_come_first(scene_photos):
    first, second = scene_photos(0)[1], scene_photos(1)[1]
    photos = [("train", "a", first), ("train", "b", first), ("train", "c", second), ("test", "d", _compressed(second))]
    found = find_duplicates(_photograph(*photo) for photo in photos)
    assert [str(duplicate) for duplicate in found] == [
        "train c and test d are nearly the same",
        "train a and train b are the same",
    ]


def test_equal_plain_surfaces_are_the_same(scene_photos):
    """They have no contrast that could correlate."""
    black = np.zeros((96, 128, 3), np.uint8)
    (found,) = find_duplicates([_photograph("train", "night", black), _photograph("test", "cap", black)])
    assert found.kind == "exact"
