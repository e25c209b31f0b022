"""Data sets that someone meddled with: found before a single pixel is used."""

import hashlib
import json

import pytest

from gkm.data.dataset.manifest import read_manifest
from gkm.data.dataset.shard_reader import read_shard
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source
from gkm.errors import InputError


@pytest.fixture
def prepared(dpd, tmp_path):
    """A data set of three train shards and two more."""
    prepare(open_source(dpd), tmp_path / "data", shard_bytes=1)
    return tmp_path / "data"


def _edit(data, change, *, cover_up=False):
    content = json.loads((data / "manifest.json").read_text())
    change(content)
    if cover_up:
        del content["checksum"]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        content = {"checksum": hashlib.sha256(canonical.encode()).hexdigest(), **content}
    (data / "manifest.json").write_text(json.dumps(content))


def _shard(content):
    return content["splits"]["train"]["shards"][0]


EDITS = {
    "a name": lambda content: _shard(content)["pairs"][0].update(name="other"),
    "a hash": lambda content: _shard(content).update(sha256="0" * 64),
    "a size": lambda content: _shard(content).update(bytes=_shard(content)["bytes"] + 1),
    "the lens": lambda content: content["source"].update(layout="rtf"),
    "the origin": lambda content: content.update(origin="/elsewhere"),
    "a split gone": lambda content: content["splits"].pop("test"),
    "duplicates allowed": lambda content: content.update(duplicates_allowed=True),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edit_by_hand_is_noticed(prepared, edit):
    _edit(prepared, EDITS[edit])
    with pytest.raises(InputError, match=r"manifest\.json: was edited, .*; prepare the data set again"):
        read_manifest(prepared)


@pytest.mark.parametrize("name", ["../x.parquet", "/etc/passwd", "a/b.parquet", ".hidden", "s3://b/x", ""])
def test_manifest_cannot_point_outside_its_folder(prepared, name):
    _edit(prepared, lambda content: _shard(content).update(name=name), cover_up=True)
    with pytest.raises(InputError, match=r"manifest\.json: splits\.train\.shards\.0\.name: .*; prepare"):
        read_manifest(prepared)


def test_shard_cut_short_or_swapped_is_named(prepared):
    first, second = read_manifest(prepared).splits["train"].shards[:2]
    whole = (prepared / first.name).read_bytes()
    for content in (whole[:-1], whole[: len(whole) // 2], b"", (prepared / second.name).read_bytes()):
        (prepared / first.name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{first.name}: is damaged, .*; copy the data set again"):
            list(read_shard(prepared, first))


def test_shards_swapped_with_their_entries_give_other_pixels_away(prepared):
    """Both files and all hashes of files exchanged, the checksum renewed: the photographs' own hashes remain."""
    from gkm.data.dataset.verification import verify

    def swap(content):
        one, other = content["splits"]["train"]["shards"][:2]
        for key in ("name", "bytes", "sha256", "footer_bytes", "footer_sha256"):
            one[key], other[key] = other[key], one[key]

    _edit(prepared, swap, cover_up=True)
    _, found = verify(prepared)
    assert len(found) == 4
    assert "the blurred photograph of IMG_0/IMG_0 differs from manifest.json" in found[0]
