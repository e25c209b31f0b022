"""Hashes of weights."""

from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.registry import integrity
from gkm.training.checkpoint import seal


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_either_hash_will_do(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert integrity.check(weights, "it", integrity.digest(weights))
    seal(weights, integrity.FILES)
    assert integrity.check(weights, "it")
    assert caplog.text == ""


def test_without_any_it_is_said(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not integrity.check(weights, "it")
    assert "it: its weights carry no hash" in caplog.text


def test_both_have_to_be_right(weights: Path) -> None:
    seal(weights, integrity.FILES)
    before = integrity.digest(weights)
    (weights / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(InputError, match=r"^it: its weights are not those that were registered"):
        integrity.check(weights, "it", before)
    with pytest.raises(InputError, match=r"^it: model\.safetensors is not the one that was registered"):
        integrity.check(weights, "it", integrity.digest(weights))


def test_missing_files_are_left_to_those_who_read_them(tmp_path: Path) -> None:
    assert integrity.check(tmp_path, "it", "abc")
