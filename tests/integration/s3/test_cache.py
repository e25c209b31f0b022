"""Batches from a data set in S3: those of its local twin, from the cache and streamed; damage there is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gkm import storage
from gkm.data.dataset.manifest import read_manifest
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import write_shard
from gkm.data.dataset.shard_reader import read_shard
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import NodeCache, open_split
from gkm.data.reading.loader import CropLoader
from gkm.errors import InputError

pytestmark = [pytest.mark.s3, pytest.mark.slow]


def _pairs() -> list[Pair]:
    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 65536, (2, 300, 400, 3), dtype=np.uint16) for _ in range(3)]
    return [Pair(f"scene {number}", "a", *both) for number, both in enumerate(photos)]


def _batches(data: str | Path, cache: NodeCache | Path) -> torch.Tensor:
    loader = CropLoader(open_split(data, "train", cache), batch_size=2, crop_pixels=128, crops_per_photo=4)
    return torch.stack([torch.stack([batch.input_BCHW, batch.sharp_B3HW]) for batch in loader.epoch(0)])


def test_batches_are_those_of_the_local_data_set(place: str, tmp_path: Path) -> None:
    source = [("train", pair) for pair in _pairs()]
    for out in (place, tmp_path / "data"):
        write_dataset(source, out, {"kind": "test"}, shard_bytes=1)
    wanted = _batches(tmp_path / "data", tmp_path / "local cache")
    assert torch.equal(_batches(place, tmp_path / "cache"), wanted)
    assert torch.equal(_batches(place, NodeCache(tmp_path / "cache", 0)), wanted)

    name = read_manifest(place).splits["train"].shards[1].name
    storage.write_bytes(f"{place}/{name}", storage.read_bytes(f"{place}/{name}").replace(b"PAR1", b"PAR2"))
    assert torch.equal(_batches(place, tmp_path / "cache"), wanted), "the cache was verified when it was filled"
    for limit_bytes in (None, 0):
        with pytest.raises(InputError, match=f"{place}/{name}: is damaged"):
            _batches(place, NodeCache(tmp_path / "other cache", limit_bytes))


def test_one_shard_is_written_to_s3_alone(place: str) -> None:
    pairs = _pairs()
    entry = write_shard(f"{place}/train-00000.parquet", pairs)
    assert storage.list_files(place) == [entry.name]
    for ours, pair in zip(read_shard(place, entry), pairs, strict=True):
        assert np.array_equal(ours.sharp_HW3, pair.sharp_HW3)
