"""The cache: the same pixels, decoded once, shared, never changed, never half-written."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from gkm.data.cache import open_split
from gkm.data.shards import write_dataset
from gkm.errors import InputError


def _files(cache):
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.pixels")}


def test_pixels_come_back_read_only(data, pairs, tmp_path):
    for split in ("train", "validation", "test"):
        theirs = [pair for name, pair in pairs if name == split]
        ours = open_split(data, split, tmp_path / "cache")
        assert len(ours) == len(theirs)
        assert ours.scenes == tuple(pair.scene for pair in theirs)
        for mine, pair in zip(ours, theirs, strict=True):
            assert (mine.scene, mine.name, mine.blurred_HW3.dtype) == (pair.scene, pair.name, pair.blurred_HW3.dtype)
            assert np.array_equal(mine.blurred_HW3, pair.blurred_HW3)
            assert np.array_equal(mine.sharp_HW3, pair.sharp_HW3)
            with pytest.raises(ValueError, match="read-only"):
                mine.blurred_HW3[0, 0, 0] = 1


def test_shards_are_decoded_once(data, tmp_path):
    open_split(data, "train", tmp_path / "cache")
    first = _files(tmp_path / "cache")
    for shard in data.glob("*.parquet"):
        shard.unlink()
    open_split(data, "train", tmp_path / "cache")
    assert _files(tmp_path / "cache") == first


def test_damaged_shard_is_named_and_not_cached(data, tmp_path):
    path = data / "validation-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"validation-00000\.parquet: is damaged"):
        open_split(data, "validation", tmp_path / "cache")
    assert not _files(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_missing_split_is_refused(tmp_path, random_pair):
    write_dataset([("train", random_pair("a", 1))], tmp_path / "data", {})
    with pytest.raises(InputError, match="has no test photographs, only train; add some"):
        open_split(tmp_path / "data", "test", tmp_path / "cache")


def test_cut_cache_file_is_made_again(data, tmp_path):
    wanted = open_split(data, "test", tmp_path / "cache")[0].sharp_HW3.copy()
    (path,) = (tmp_path / "cache").rglob("*.pixels")
    os.truncate(path, 100)
    assert np.array_equal(open_split(data, "test", tmp_path / "cache")[0].sharp_HW3, wanted)


def test_unusable_cache_folder_is_named(data, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cannot be used as cache"):
        open_split(data, "train", tmp_path / "cache")


def test_split_travels_without_its_pixels(data, tmp_path):
    split = open_split(data, "train", tmp_path / "cache")
    message = pickle.dumps(split)
    assert len(message) < 1000
    assert np.array_equal(pickle.loads(message)[2].sharp_HW3, split[2].sharp_HW3)


def test_processes_that_start_together_fill_once(data, tmp_path):
    script = f"""
from gkm.data import cache
fill = cache._fill
def told(path, *rest):
    print(path.name, flush=True)
    fill(path, *rest)
cache._fill = told
input()
cache.open_split({str(data)!r}, "train", {str(tmp_path / "cache")!r})
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    filled = [name for process in processes for name in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(filled) == sorted(path.name for path in _files(tmp_path / "cache"))


def test_killed_filler_leaves_no_lock_and_no_rest(data, tmp_path):
    script = f"""
import os, signal
from gkm.data import cache
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
cache.os.fsync = die
cache.open_split({str(data)!r}, "test", {str(tmp_path / "cache")!r})
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert list((tmp_path / "cache").rglob("*.partial"))
    assert len(open_split(data, "test", tmp_path / "cache")) == 1
    assert not list((tmp_path / "cache").rglob("*.partial"))
