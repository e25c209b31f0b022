"""Preparation to S3: resumed, replaced and verified there like on a disk, and only ever whole."""

import random

import numpy as np
import pytest
from PIL import Image

from gkm import storage
from gkm.data.dataset.manifest import read_manifest
from gkm.data.dataset.verification import verified, verify
from gkm.data.preparation.preparation import one_by_one, prepare
from gkm.data.preparation.sources import open_source
from gkm.errors import InputError

pytestmark = [pytest.mark.s3, pytest.mark.slow]


@pytest.fixture
def photos(tmp_path):
    """Six pairs in DPD's layout."""
    for number in range(6):
        for side in ("source", "target"):
            path = tmp_path / "photos" / ("train_c", "val_c", "test_c")[number % 3] / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            generator = np.random.default_rng([number, side == "target"])
            Image.fromarray(generator.integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def _stopping_after(count):
    def run(jobs):
        for number, done in enumerate(one_by_one(jobs)):
            yield done
            if number + 1 == count:
                raise KeyboardInterrupt

    return run


def test_interrupted_it_ends_like_an_undisturbed_run_on_a_disk(photos, place, tmp_path):
    source = open_source(photos)
    prepare(source, tmp_path / "data", shard_bytes=1)
    for count in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            prepare(source, place, shard_bytes=1, run=_stopping_after(count))
        with pytest.raises(InputError, match="holds no data set"):
            read_manifest(place)
    made = []
    prepare(source, place, shard_bytes=1, run=lambda jobs: one_by_one(made.extend(jobs) or jobs))
    assert len(made) == 3
    assert storage.list_files(place) == sorted(path.name for path in (tmp_path / "data").iterdir())
    for name in ("manifest.json", "data_card.html"):
        assert storage.read_bytes(storage.join(place, name)) == (tmp_path / "data" / name).read_bytes()
    assert prepare(source, place).already_there


def test_replaced_only_when_asked_and_readable_until_then(photos, place):
    first = prepare(open_source(photos), place, shard_bytes=1).manifest
    (photos / "train_c/source/0.png").write_bytes((photos / "train_c/target/0.png").read_bytes())
    with pytest.raises(InputError, match="holds another data set"):
        prepare(open_source(photos), place, shard_bytes=1)
    with pytest.raises(KeyboardInterrupt):
        prepare(open_source(photos), place, overwrite=True, shard_bytes=1, run=_stopping_after(1))
    assert verify(place)[0] == first
    second = prepare(open_source(photos), place, overwrite=True, shard_bytes=1).manifest
    assert second.fingerprint != first.fingerprint
    assert len(storage.list_files(place)) == 8
    assert "all 6 pairs are as they were written" in verified(place)


def test_two_at_once_leave_one_whole_data_set(photos, place):
    """No lock reaches over machines: the one whose manifest is first has made the data set."""
    source = open_source(photos)

    def disturbed(jobs):
        yield from one_by_one(jobs)
        prepare(source, place, shard_bytes=1)

    done = prepare(source, place, shard_bytes=1, run=disturbed)
    assert verify(place) == (done.manifest, [])


def test_damage_in_s3_is_named(photos, place):
    prepare(open_source(photos), place, shard_bytes=1)
    name = random.Random(0).choice([name for name in storage.list_files(place) if name.endswith(".parquet")])
    location = storage.join(place, name)
    content = storage.read_bytes(location)
    storage.write_bytes(location, content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    _, found = verify(place)
    assert found == [f"{location}: is damaged, its sha256 differs from the manifest's"]


def test_foreign_files_are_left_alone(photos, place):
    storage.write_bytes(storage.join(place, "thesis.txt"), b"mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"holds thesis\.txt, which is not of a data set"):
            prepare(open_source(photos), place, overwrite)
    assert storage.list_files(place) == ["thesis.txt"]
