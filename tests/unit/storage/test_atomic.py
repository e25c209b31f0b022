"""Files written whole: on the disk when they have their name, and nothing left where that fails."""

import errno
import os
from pathlib import Path

import pytest

from gkm.storage import atomic

FULL = "/dev/full"
"""Takes no byte, as a full disk does."""


def _fail_halfway(path: Path, aside: Path | None) -> None:
    with atomic.whole(path, aside) as partial:
        assert partial.parent == (aside or path.parent)
        partial.write_bytes(b"half")
        raise RuntimeError


def _write_to_full_disk(path: Path) -> None:
    with atomic.whole(path) as partial:
        partial.symlink_to(FULL)
        partial.write_bytes(b"new")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is there already."""
    (tmp_path / "photo.png").write_bytes(b"old")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("aside", [False, True])
def test_failed_write_leaves_the_old_contents(path: Path, tmp_path: Path, aside: bool) -> None:
    with pytest.raises(RuntimeError):
        _fail_halfway(path, tmp_path / "aside" if aside else None)
    assert path.read_bytes() == b"old"
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_full_disk_keeps_its_number_and_names_the_file(path: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        _write_to_full_disk(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_disk_that_is_full_only_when_it_is_synced_is_noticed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    for write in (atomic.write_whole, atomic.write_absent):
        with pytest.raises(OSError, match="quota") as caught:
            write(path, b"new")
        assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_contents_are_on_the_disk_before_they_have_their_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("renamed"), replace(*names)))
    atomic.write_whole(path, b"new")
    assert steps == [".partial", "renamed", ""]
    assert path.read_bytes() == b"new"


def test_file_systems_without_fsync_are_written_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    atomic.write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_absent_file_is_written_where_links_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    assert atomic.write_absent(tmp_path / "manifest", b"one")
    assert not atomic.write_absent(tmp_path / "manifest", b"two")
    assert (tmp_path / "manifest").read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [tmp_path / "manifest"]


def test_folders_are_made(tmp_path: Path) -> None:
    atomic.write_whole(tmp_path / "a" / "b" / "c", b"x", aside=tmp_path / "d")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"x"
    assert list((tmp_path / "d").iterdir()) == []
