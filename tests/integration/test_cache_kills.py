"""The cache when processes that fill it are killed at any moment."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gkm.data.cache import open_split
from gkm.data.shards import Pair, write_dataset

SHARDS = 12


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    shape = (2, 400, 600, 3)
    photos = [generator.integers(0, 65536, shape, dtype=np.uint16) for _ in range(SHARDS)]
    return [Pair(f"scene {number}", "a", *both) for number, both in enumerate(photos)]


@pytest.mark.slow
def test_whatever_is_killed_the_pixels_are_whole(pairs, tmp_path):
    data, cache = tmp_path / "data", tmp_path / "cache"
    write_dataset([("train", pair) for pair in pairs], data, {}, shard_bytes=1)
    script = f"""
from gkm.data.cache import open_split
print("ready", flush=True)
open_split({str(data)!r}, "train", {str(cache)!r})
print("filled", flush=True)
"""
    chooser = random.Random(0)
    interrupted = 0
    for _ in range(6):
        processes = [
            subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        time.sleep(chooser.uniform(0, 0.15))
        for process in processes:
            process.send_signal(signal.SIGKILL)
        interrupted += sum(process.communicate()[0] != "filled\n" for process in processes)
    assert interrupted, "at least one was killed while it filled"

    split = open_split(data, "train", cache)
    assert split.streamed == 0
    for ours, pair in zip(split, pairs, strict=True):
        assert np.array_equal(ours.blurred_HW3, pair.blurred_HW3)
        assert np.array_equal(ours.sharp_HW3, pair.sharp_HW3)
    names = sorted(path.suffix for path in cache.iterdir())
    assert names == [".lock"] * (SHARDS + 1) + [".planes"] * SHARDS
