"""How places are written, here and in S3."""

from pathlib import Path

import pytest

from gkm import storage
from gkm.errors import InputError


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
