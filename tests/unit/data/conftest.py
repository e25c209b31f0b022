"""Small photographs and data sets for the data tests."""

import numpy as np
import pytest

from gkm.data.shards import Pair, write_dataset


def random_pair(scene, seed, height=40, width=48, dtype=np.uint8):
    generator = np.random.default_rng(seed)
    blurred, sharp = generator.integers(0, np.iinfo(dtype).max + 1, (2, height, width, 3), dtype=dtype)
    return Pair(scene, scene, blurred, sharp)


@pytest.fixture(name="random_pair")
def random_pair_fixture():
    """Makes a pair of random pixels."""
    return random_pair


@pytest.fixture
def pairs():
    """Five train pairs of various sizes, two for validation, one for test."""
    sizes = [(40, 48), (64, 33), (130, 40), (40, 40), (32, 70)]
    train = [("train", random_pair(f"scene {number}", number, *size)) for number, size in enumerate(sizes)]
    validation = [("validation", random_pair(f"scène {number}", number)) for number in (5, 6)]
    return [*train, *validation, ("test", random_pair("deep", 7, 70, 40, np.uint16))]


@pytest.fixture
def data(tmp_path, pairs):
    """Those pairs as a data set of several shards."""
    write_dataset(pairs, tmp_path / "data", {"kind": "test"}, shard_bytes=30_000)
    return tmp_path / "data"
