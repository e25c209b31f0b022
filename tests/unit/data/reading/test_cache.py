"""The cache: the same pixels, decoded once, shared, never changed, never half-written, within its limit."""

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gkm import storage
from gkm.data.preparation.preparation import write_dataset
from gkm.data.reading import node_cache
from gkm.data.reading.cache import NodeCache, open_split
from gkm.errors import InputError


def _files(cache):
    return {path: path.stat().st_ino for path in cache.glob("*.planes")}


def _bytes(cache):
    return sum(path.stat().st_size for path in cache.iterdir())


def _same(ours, theirs):
    return len(ours) == len(theirs) and all(
        np.array_equal(mine.blurred_HW3, pair.blurred_HW3) and np.array_equal(mine.sharp_HW3, pair.sharp_HW3)
        for mine, pair in zip(ours, theirs, strict=True)
    )


@pytest.fixture(params=["cached", "streamed", "streamed without a buffer"])
def options(request, tmp_path):
    """How a split may be opened."""
    streamed = {"cache": NodeCache(tmp_path / "cache", 0)}
    return {
        "cached": {"cache": tmp_path / "cache"},
        "streamed": streamed,
        "streamed without a buffer": {**streamed, "buffer_bytes": 0},
    }[request.param]


def test_pixels_come_back(data, pairs, tmp_path, options):
    for split in ("train", "validation", "test"):
        theirs = [pair for name, pair in pairs if name == split]
        ours = open_split(data, split, **options)
        assert ours.scenes == tuple(pair.scene for pair in theirs)
        assert ours.streamed == (len(theirs) if isinstance(options["cache"], NodeCache) else 0)
        assert _same(ours, theirs)
        for mine, pair in zip(ours, theirs, strict=True):
            assert (mine.scene, mine.name, mine.blurred_HW3.dtype) == (pair.scene, pair.name, pair.blurred_HW3.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_window_is_that_of_the_photograph(tmp_path, random_pair, options, dtype):
    pair = random_pair("a", 1, 530, 300, dtype)
    write_dataset([("train", pair)], tmp_path / "data", {})
    split = open_split(tmp_path / "data", "train", **options)
    for top, left, height, width in [
        (0, 0, 530, 300),
        (0, 0, 1, 1),
        (255, 255, 2, 2),
        (256, 0, 256, 256),
        (529, 299, 1, 1),
    ]:
        window = split.window(0, top, left, height, width)
        for planes, photo in zip(window, (pair.blurred_HW3, pair.sharp_HW3), strict=True):
            assert planes.dtype == dtype
            assert np.array_equal(planes.transpose(1, 2, 0), photo[top : top + height, left : left + width])


def test_cached_pixels_cannot_be_changed(data, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        open_split(data, "train", tmp_path / "cache")[0].blurred_HW3[0, 0, 0] = 1


def test_shards_are_decoded_once(data, tmp_path):
    open_split(data, "train", tmp_path / "cache")
    first = _files(tmp_path / "cache")
    for shard in data.glob("*.parquet"):
        shard.unlink()
    open_split(data, "train", tmp_path / "cache")
    assert _files(tmp_path / "cache") == first


def test_damaged_shard_is_named_and_not_cached(data, tmp_path):
    (path,) = data.glob("validation-*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path.name}: is damaged"):
        open_split(data, "validation", tmp_path / "cache")
    assert not _files(tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.partial"))
    with pytest.raises(InputError, match=rf"{path.name}: is damaged"):
        list(open_split(data, "validation", NodeCache(tmp_path / "cache", 0)))


def test_missing_split_is_refused(tmp_path, random_pair):
    write_dataset([("train", random_pair("a", 1))], tmp_path / "data", {})
    with pytest.raises(InputError, match="has no test photographs, only train; add some"):
        open_split(tmp_path / "data", "test", tmp_path / "cache")


def test_cut_cache_file_is_made_again(data, pairs, tmp_path):
    open_split(data, "test", tmp_path / "cache")
    (path,) = _files(tmp_path / "cache")
    os.truncate(path, 100)
    assert _same(open_split(data, "test", tmp_path / "cache"), [pairs[-1][1]])


def test_cache_may_be_emptied_while_it_is_used(data, pairs, tmp_path):
    used = open_split(data, "test", tmp_path / "cache")
    for path in _files(tmp_path / "cache"):
        path.unlink()
    again = open_split(data, "test", tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    assert open_split(data, "test", tmp_path / "cache").streamed == 0
    assert _same(used, [pairs[-1][1]])
    assert _same(again, [pairs[-1][1]])


def test_unusable_cache_folder_is_named(data, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cannot be used as cache"):
        open_split(data, "train", tmp_path / "cache")


def test_default_cache_is_of_this_user_alone(data, tmp_path, monkeypatch):
    monkeypatch.setattr(node_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    open_split(data, "test")
    folder = node_cache.default_cache()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(InputError, match=r"can be written by others.*remove it, or give a cache folder"):
        open_split(data, "test")
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="by others"):
        open_split(data, "test")


def test_split_travels_without_its_pixels(data, tmp_path, options):
    split = open_split(data, "train", **options)
    message = pickle.dumps(split)
    assert len(message) < 1000
    arrived = pickle.loads(message)
    assert arrived.streamed == split.streamed
    assert _same(arrived, split)


@pytest.fixture
def sets(tmp_path, random_pair):
    """Three data sets of one shard of 40 x 48 pixels each, and the size of such a shard in the cache."""
    for name in "abc":
        write_dataset([("train", random_pair(name, ord(name)))], tmp_path / name, {})
    return 2 * 40 * 48 * 3


def test_least_recently_opened_shards_go_first(sets, tmp_path):
    cache = tmp_path / "cache"
    opened = {}
    for name in "ab":
        opened[name] = set(_files(cache))
        open_split(tmp_path / name, "train", NodeCache(cache, 2 * sets))
        opened[name] = set(_files(cache)) - opened[name]
    open_split(tmp_path / "a", "train", NodeCache(cache, 2 * sets))
    assert open_split(tmp_path / "c", "train", NodeCache(cache, 2 * sets)).streamed == 0
    assert opened["a"] <= set(_files(cache)), "opened since"
    assert not opened["b"] & set(_files(cache))
    assert _bytes(cache) == 2 * sets


def test_shards_in_use_stay_and_others_are_streamed(sets, tmp_path, random_pair, caplog):
    cache = tmp_path / "cache"
    held = [open_split(tmp_path / name, "train", NodeCache(cache, 2 * sets)) for name in "ab"]
    third = open_split(tmp_path / "c", "train", NodeCache(cache, 2 * sets))
    assert third.streamed == 1
    assert "1 of 1 train pairs do not fit into the cache" in caplog.text
    assert _same(third, [random_pair("c", ord("c"))])
    assert _bytes(cache) == 2 * sets
    del held
    assert open_split(tmp_path / "c", "train", NodeCache(cache, 2 * sets)).streamed == 0
    assert open_split(tmp_path / "a", "train", NodeCache(cache, sets - 1)).streamed == 1
    assert _bytes(cache) == 2 * sets, "nothing is evicted for what would not fit anyway"


def test_full_disk_is_streamed_around(data, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(node_cache, "SPARE_BYTES", 2**62)
    split = open_split(data, "validation", tmp_path / "cache")
    assert split.streamed == 2
    assert _same(split, [pair for name, pair in pairs if name == "validation"])
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node_cache.os, "posix_fallocate", full)
    assert open_split(data, "validation", tmp_path / "cache").streamed == 2
    assert _bytes(tmp_path / "cache") == 0


def test_streaming_reads_the_blocks_of_a_window_and_keeps_to_its_buffer(tmp_path, random_pair, monkeypatch):
    write_dataset([("train", random_pair("a", 1, 1024, 1024))], tmp_path / "data", {})
    split = open_split(tmp_path / "data", "train", NodeCache(tmp_path / "cache", 0), buffer_bytes=2**20)
    read = []
    read_range = storage.read_range

    def counted(location, start, length):
        read.append(length)
        return read_range(location, start, length)

    monkeypatch.setattr(storage, "read_range", counted)
    block_bytes = 2 * 256 * 256 * 3
    split.window(0, 0, 0, 200, 200)
    footer, *blocks = read
    assert footer < block_bytes / 10
    assert sum(blocks) < 1.1 * block_bytes
    read.clear()
    split.window(0, 100, 100, 50, 50)
    assert read == [], "still in the buffer"
    for top in range(0, 1024, 256):
        split.window(0, top, 0, 256, 1024)
    read.clear()
    split.window(0, 0, 0, 1, 1)
    assert read, "the buffer holds two blocks"


PROLOGUE = """
import os, signal, sys
from pathlib import Path
from gkm.data.reading import cached_shard, node_cache
from gkm.data.reading.cache import NodeCache, open_split
"""


def test_processes_that_start_together_fill_once(data, tmp_path):
    script = f"""{PROLOGUE}
fill = node_cache.fill
def told(path, *rest):
    os.write(1, path.name.encode() + b"\\n")  # at once, for there are threads
    fill(path, *rest)
node_cache.fill = told
input()
assert open_split({str(data)!r}, "train", {str(tmp_path / "cache")!r}).streamed == 0
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
    assert sorted(filled) == sorted(f".{path.name}.partial" for path in _files(tmp_path / "cache"))


@pytest.mark.parametrize("moment", ["os.fsync", "load_shard", "decode"])
def test_killed_filler_leaves_no_lock_and_no_rest(data, pairs, tmp_path, moment):
    script = f"""{PROLOGUE}
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "decode":
    cached_shard.load_shard = lambda *_: type("Reader", (), dict(decode=die))
else:
    cached_shard.{moment} = die
open_split({str(data)!r}, "test", {str(tmp_path / "cache")!r})
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert list((tmp_path / "cache").glob(".*.partial"))
    assert _same(open_split(data, "validation", tmp_path / "cache"), [p for name, p in pairs if name == "validation"])
    assert not list((tmp_path / "cache").glob(".*.partial")), "not even of a shard that nobody asks for again"
    assert _same(open_split(data, "test", tmp_path / "cache"), [pairs[-1][1]])


def test_processes_map_the_same_memory(data, tmp_path):
    split, cache = open_split(data, "train", tmp_path / "cache"), str(tmp_path / "cache")
    maps = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(".planes")]
    maps = [path for path in maps if path.startswith(cache)]  # what earlier tests mapped may not be collected yet
    assert set(maps) == {str(path) for path in _files(tmp_path / "cache")}
    assert len(split) == 5
