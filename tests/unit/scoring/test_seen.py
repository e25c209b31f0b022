"""Models are not scored on photographs they were trained on, whatever the data set is called."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gkm.data.dataset.dataset import Dataset, open_dataset
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import open_split
from gkm.errors import InputError
from gkm.scoring.seen import refuse_seen
from gkm.scoring.subjects import BLURRED, Subject, TrainingData
from tests.unit.scoring.small import small_network, subject_of


@pytest.fixture
def trained(tiny_data: Path) -> Subject:
    known = TrainingData(open_dataset(tiny_data).fingerprint, str(tiny_data))
    return replace(subject_of(small_network()), trained_on=known)


def _other(folder: Path, pair: Pair) -> Dataset:
    write_dataset([("test", pair)], folder, {"kind": "synthetic"})
    return open_dataset(folder)


def _new_pair(scene: str) -> Pair:
    photo = np.random.default_rng(99).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return Pair(scene, "0", photo, photo)


def test_the_test_photographs_of_its_own_data_are_fit_and_its_training_photographs_not(
    trained: Subject, tiny_data: Path
) -> None:
    own = open_dataset(tiny_data)
    assert refuse_seen(trained, own, "test") == "the same data"
    assert refuse_seen(trained, own, "validation") == "the same data"
    with pytest.raises(InputError, match=r"photograph train-0/0 is train-0/0 of the train photographs of small; "):
        refuse_seen(trained, own, "train")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_photograph_it_has_seen_is_found_under_another_name(
    split: str, trained: Subject, tiny_data: Path, tmp_path: Path
) -> None:
    pair = open_split(tiny_data, split, str(tmp_path / "cache"))[1]
    renamed = Pair("harbour", "7", np.array(pair.blurred_HW3), np.array(pair.sharp_HW3))
    with pytest.raises(InputError, match=rf"photograph harbour/7 is {split}-1/0 of the {split} photographs of small"):
        refuse_seen(trained, _other(tmp_path / "other", renamed), "test")


def test_a_scene_of_the_same_name_is_refused_unless_only_the_names_are_the_same(
    trained: Subject, tmp_path: Path
) -> None:
    other = _other(tmp_path / "other", _new_pair("train-2"))
    with pytest.raises(InputError, match=r"scene train-2 is also among the train photographs of small; .*--shared-n"):
        refuse_seen(trained, other, "test")
    assert refuse_seen(trained, other, "test", shared_names=True).startswith("other data (")


def test_data_of_another_origin_are_named(trained: Subject, tiny_data: Path, tmp_path: Path) -> None:
    other = _other(tmp_path / "other", _new_pair("harbour"))
    known = trained.trained_on
    assert known is not None
    assert refuse_seen(trained, other, "test") == f"other data ({tiny_data.name}, {known.fingerprint})"
    assert refuse_seen(replace(trained, trained_on=None), other, "test") == "not on record"
    assert refuse_seen(BLURRED, other, "test") == ""


def test_training_data_that_are_gone_are_not_compared_and_it_is_said(
    trained: Subject, tiny_data: Path, tmp_path: Path
) -> None:
    gone = shutil.copytree(tiny_data, tmp_path / "gone")
    known = TrainingData(open_dataset(gone).fingerprint, str(gone))
    shutil.rmtree(gone)
    subject = replace(trained, trained_on=known)
    other = _other(tmp_path / "other", _new_pair("harbour"))
    assert refuse_seen(subject, other, "test").endswith("not compared: it is no longer there")
