"""A data set looked at again: whatever differs is named."""

import random

import pytest

from gkm.data.dataset.verification import verified, verify
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source
from gkm.errors import InputError


@pytest.fixture
def prepared(dpd, tmp_path):
    """A data set of three train shards, one for validation and one for test."""
    prepare(open_source(dpd), tmp_path / "data", shard_bytes=1)
    return tmp_path / "data"


def _shards(data, split="train"):
    return sorted(data.glob(f"{split}-*.parquet"))


def test_whole_data_set_is_as_it_was_written(prepared):
    manifest, found = verify(prepared)
    assert found == []
    assert verified(prepared) == (
        f"{prepared}: all 5 pairs are as they were written, fingerprint {manifest.fingerprint}"
    )


def test_every_shard_that_differs_is_named(prepared):
    first, second, third = _shards(prepared)
    first.write_bytes(first.read_bytes()[:-5])
    third.unlink()
    content = _shards(prepared, "test")[0].read_bytes()
    second.write_bytes(content)
    (prepared / "train-00009-00000000.parquet").write_bytes(content)
    _, found = verify(prepared)
    assert found == [
        f"{prepared}/train-00009-00000000.parquet: is no part of this data set",
        f"{first}: is damaged, its sha256 differs from the manifest's",
        f"{second}: is damaged, its sha256 differs from the manifest's",
        f"{third}: is missing",
    ]
    with pytest.raises(InputError, match=r"data: differs from its manifest: .*is missing; copy the data set again"):
        verified(prepared)


def test_any_flipped_byte_of_any_file_is_found(prepared):
    chooser = random.Random(0)
    files = [prepared / "manifest.json", *_shards(prepared), *_shards(prepared, "test")]
    for _ in range(200):
        path = chooser.choice(files)
        whole = path.read_bytes()
        place = chooser.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chooser.randrange(8))]) + whole[place + 1 :])
        with pytest.raises(InputError):
            verified(prepared)
        path.write_bytes(whole)
    verified(prepared)
