"""Preparation killed with -9 at random moments, by itself and on Ray: resumed, it ends like an undisturbed run."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source

SHARD_BYTES = 2 * 240 * 320 * 3
"""Every pair becomes a shard."""
SCRIPT = """
import sys
from contextlib import nullcontext
from gkm.data.preparation.preparation import one_by_one, prepare
from gkm.data.preparation.sources import open_source

source, out, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
session, run = nullcontext(), one_by_one
if workers:
    from gkm.data.preparation.distributed import on_ray
    from gkm.study.execution.session import start_ray

    session, run = start_ray("local", workers), on_ray(workers)
with session:
    print("begun", flush=True)
    prepare(open_source(source), out, run=run, shard_bytes=int(sys.argv[4]))
"""


@pytest.fixture
def photos(tmp_path):
    """Thirty pairs in DPD's layout."""
    for number in range(30):
        for side in ("source", "target"):
            split = ("train_c", "val_c", "test_c")[number % 3]
            path = tmp_path / "photos" / split / side / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            generator = np.random.default_rng([number, side == "target"])
            Image.fromarray(generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def _finished(out):
    return len(list((out.parent / f".{out.name}.unfinished" / "unfinished").glob("*.json")))


def _start(photos, out, workers):
    command = [sys.executable, "-c", SCRIPT, str(photos), str(out), str(workers), str(SHARD_BYTES)]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def _kill_at_random_moments(photos, out, workers, moments):
    """Kills preparation at each of the moments (in finished shards, then seconds); returns what was done by then."""
    done = []
    for shards, seconds in moments:
        with _start(photos, out, workers) as process:
            assert process.stdout.readline() == "begun\n"
            before = _finished(out)
            deadline = time.monotonic() + 120
            while _finished(out) < before + shards and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was still at work"
        assert not out.exists()
        done.append(_finished(out))
    return done


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=[pytest.mark.ray, pytest.mark.slow])])
def test_killed_three_times_it_ends_like_an_undisturbed_run(photos, tmp_path, workers):
    prepare(open_source(photos), tmp_path / "undisturbed", shard_bytes=SHARD_BYTES)
    chooser = random.Random(f"{workers} 7")
    moments = [(chooser.randint(1, 6), chooser.uniform(0, 0.05)) for _ in range(3)]
    done = _kill_at_random_moments(photos, tmp_path / "data", workers, moments)
    assert 0 < done[0] < done[1] < done[2] < 30, "no finished shard is lost"
    with _start(photos, tmp_path / "data", workers) as process:
        assert process.wait(120) == 0
    one, other = ((tmp_path / name / "manifest.json").read_bytes() for name in ("undisturbed", "data"))
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(other).hexdigest()
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("undisturbed", "data")]
    assert names[0] == names[1]
    assert not (tmp_path / ".data.unfinished").exists()


@pytest.mark.ray
@pytest.mark.slow
def test_fault_in_a_task_is_the_same_sentence(photos, tmp_path):
    from gkm.data.preparation.distributed import on_ray
    from gkm.errors import InputError
    from gkm.study.execution.session import start_ray

    path = photos / "test_c/source/02.png"
    path.write_bytes(path.read_bytes()[:5000])
    with start_ray("local", 2), pytest.raises(InputError, match=r"test_c/source/02\.png: cannot be read"):
        prepare(open_source(photos), tmp_path / "data", run=on_ray(2), shard_bytes=SHARD_BYTES)
    assert not (tmp_path / "data").exists()
