"""Locations: complete or absent, whoever reads or dies meanwhile."""

from pathlib import Path

import pytest

from gkm import storage
from gkm.errors import InputError


def _write_half(folder, name="half"):
    Path(folder, name).write_bytes(b"half")
    raise RuntimeError


def test_bytes_come_back_and_are_listed(tmp_path):
    storage.write_bytes(storage.join(tmp_path, "a", "b.bin"), b"one")
    storage.write_bytes(storage.join(tmp_path, "c.bin"), b"two")
    storage.write_bytes(storage.join(tmp_path, "c.bin"), b"three")
    assert storage.list_files(tmp_path) == ["a/b.bin", "c.bin"]
    assert storage.read_bytes(storage.join(tmp_path, "c.bin")) == b"three"
    storage.delete(storage.join(tmp_path, "a"))
    storage.delete(storage.join(tmp_path, "a"))
    assert storage.list_files(tmp_path) == ["c.bin"]
    assert not storage.exists(storage.join(tmp_path, "a"))


def test_join_keeps_the_slashes_of_s3():
    assert storage.join("s3://bucket/prefix/", "a", "b") == "s3://bucket/prefix/a/b"


def test_places_in_s3_keep_their_spelling(tmp_path, monkeypatch):
    assert storage.is_remote("s3://bucket/data")
    assert storage.absolute(Path("s3://bucket/data")) == "s3://bucket/data"
    assert storage.arrow_filesystem(tmp_path) == (None, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert not storage.is_remote("data")
    assert storage.absolute("data") == str(tmp_path / "data")
    assert storage.path("data") == Path("data")
    with pytest.raises(InputError, match="s3://bucket/data: lies in S3; give a folder on this machine"):
        storage.local_path(Path("s3://bucket/data"))


def test_an_absent_file_is_written_once(tmp_path):
    assert storage.write_bytes(tmp_path / "a" / "manifest", b"one", if_absent=True)
    assert storage.write_bytes(tmp_path / "a" / "manifest", b"one", if_absent=True)
    assert not storage.write_bytes(tmp_path / "a" / "manifest", b"two", if_absent=True)
    assert storage.read_bytes(tmp_path / "a" / "manifest") == b"one"
    assert storage.list_files(tmp_path / "a") == ["manifest"]


def test_an_absent_file_is_written_where_links_are_not_known(tmp_path, monkeypatch):
    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr("os.link", refused)
    assert storage.write_bytes(tmp_path / "manifest", b"one", if_absent=True)
    assert not storage.write_bytes(tmp_path / "manifest", b"two", if_absent=True)
    assert (tmp_path / "manifest").read_bytes() == b"one"


def test_parts_of_a_file_are_read(tmp_path):
    storage.write_bytes(tmp_path / "x", b"0123456789")
    assert storage.read_range(tmp_path / "x", 3, 4) == b"3456"
    assert storage.read_range(tmp_path / "x", 8, 100) == b"89"
    with pytest.raises(InputError, match=r"gone: cannot be read"):
        storage.read_range(tmp_path / "gone", 0, 1)


def test_files_and_folders_are_copied(tmp_path):
    storage.write_bytes(tmp_path / "from" / "a" / "b", b"b")
    storage.write_bytes(tmp_path / "from" / "c", b"c")
    storage.upload_folder(tmp_path / "from", tmp_path / "there", last="a/b")
    storage.fetch(tmp_path / "there", tmp_path / "back")
    storage.fetch(tmp_path / "there" / "c", tmp_path / "one" / "c")
    assert storage.list_files(tmp_path / "back") == ["a/b", "c"]
    assert (tmp_path / "one" / "c").read_bytes() == b"c"
    with pytest.raises(InputError, match=r"gone: cannot be read \(no such file\)"):
        storage.fetch(tmp_path / "gone", tmp_path / "x")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.bin: cannot be read \(no such file"):
        storage.read_bytes(tmp_path / "gone.bin")


def test_failed_write_leaves_the_old_contents(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), storage.replacing(path) as partial:
        _write_half(partial.parent, partial.name)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        storage.write_bytes(tmp_path / "file" / "x", b"")
