"""The cache when processes that fill it are killed at any moment."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading.cache import open_split

SHARDS = 12


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    shape = (2, 400, 600, 3)
    photos = [generator.integers(0, 65536, shape, dtype=np.uint16) for _ in range(SHARDS)]
    return [Pair(f"scene {number}", "a", *both) for number, both in enumerate(photos)]


class _Filler:
    """A process that fills the cache when it is told to; it is there once it has imported what it needs."""

    def __init__(self, data, cache):
        script = f"""
from gkm.data.reading.cache import open_split
print("here", flush=True)
input()
open_split({str(data)!r}, "train", {str(cache)!r})
print("filled", flush=True)
"""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout.readline() == "here\n"

    def go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait(self):
        assert self._process.stdout.readline() == "filled\n"

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.mark.slow
def test_whatever_is_killed_the_pixels_are_whole(pairs, tmp_path):
    data, cache = tmp_path / "data", tmp_path / "cache"
    write_dataset([("train", pair) for pair in pairs], data, {}, shard_bytes=1)
    fillers = [_Filler(data, tmp_path / "other cache") for _ in range(2)]
    start = time.monotonic()
    for filler in fillers:
        filler.go()
    for filler in fillers:
        filler.wait()
    whole_seconds = time.monotonic() - start
    for filler in fillers:
        filler.kill()

    chooser = random.Random(0)
    interrupted = 0
    for _ in range(5):
        fillers = [_Filler(data, cache) for _ in range(2)]
        for filler in fillers:
            filler.go()
        time.sleep(chooser.uniform(0, whole_seconds))
        for filler in fillers:
            filler.kill()
        interrupted += len(list(cache.glob("*.planes"))) < SHARDS

        split = open_split(data, "train", cache)
        assert split.streamed == 0
        for ours, pair in zip(split, pairs, strict=True):
            assert np.array_equal(ours.blurred_HW3, pair.blurred_HW3)
            assert np.array_equal(ours.sharp_HW3, pair.sharp_HW3)
        assert sorted(path.suffix for path in cache.iterdir()) == [".lock"] * (SHARDS + 1) + [".planes"] * SHARDS
        for path in cache.glob("*.planes"):
            path.unlink()
    assert interrupted
