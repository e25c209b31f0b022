"""Places that cannot take a data set: read-only, full, taken. In each case one sentence, and no half a data set."""

import os
import subprocess

import pytest

from gkm.data.dataset.manifest import read_manifest
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source
from gkm.errors import InputError


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system in memory: mounted("size=1m"). Needs root."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options):
        if os.geteuid() != 0:
            pytest.skip("mounting a file system needs root")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this machine mounts no file systems: {done.stderr.strip()}")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def test_read_only_place_is_refused(dpd, mounted):
    place = mounted("ro")
    with pytest.raises(InputError, match=r"data: cannot be written \(read-only file system\); make room or permission"):
        prepare(open_source(dpd), place / "data")


@pytest.mark.parametrize("size", ["8k", "100k", "200k"])
def test_full_disk_is_refused_and_preparation_goes_on_when_there_is_room(dpd, mounted, size):
    place = mounted(f"size={size}")
    with pytest.raises(
        InputError, match=r"data.*: cannot be written \(.*no space left on device\); make room or permission"
    ):
        prepare(open_source(dpd), place / "data", shard_bytes=1)
    assert not (place / "data").exists()
    assert not list(place.rglob("manifest.json"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
    prepare(open_source(dpd), place / "data", shard_bytes=1)
    assert read_manifest(place / "data").count("train") == 3
    assert [path.name for path in place.iterdir()] == ["data"]


def test_taken_places_are_refused(dpd, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: is a file; give a folder"):
        prepare(open_source(dpd), tmp_path / "file")
    with pytest.raises(InputError, match=r"file/data: cannot be written \(not a directory\)"):
        prepare(open_source(dpd), tmp_path / "file" / "data")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"home: holds letter\.txt, which is not of a data set"):
            prepare(open_source(dpd), tmp_path / "home", overwrite)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_place_may_be_a_link_to_a_folder(dpd, tmp_path):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    prepare(open_source(dpd), tmp_path / "data")
    assert (tmp_path / "data").is_symlink()
    assert read_manifest(tmp_path / "disk" / "data").count("train") == 3
