"""Data sets: lossless, verified, deterministic, split by scene, whole or absent."""

import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from gkm.data.shards import Pair, read_manifest, read_shard, write_dataset
from gkm.errors import InputError


def _all(data):
    splits = read_manifest(data).splits
    return [
        (split, pair) for split, info in splits.items() for shard in info.shards for pair in read_shard(data, shard)
    ]


def _same(ours, theirs):
    assert ours.blurred_HW3.dtype == theirs.blurred_HW3.dtype
    assert np.array_equal(ours.blurred_HW3, theirs.blurred_HW3)
    assert np.array_equal(ours.sharp_HW3, theirs.sharp_HW3)
    return (ours.scene, ours.name) == (theirs.scene, theirs.name)


def test_every_pixel_comes_back(data, pairs):
    read = _all(data)
    assert [split for split, _ in read] == [split for split, _ in pairs]
    assert all(_same(ours, theirs) for (_, ours), (_, theirs) in zip(read, pairs, strict=True))


def test_photographs_that_are_views_come_back(tmp_path, random_pair):
    whole = random_pair("a", 1, 50, 60, np.uint16)
    turned = Pair("a", "turned", whole.blurred_HW3.transpose(1, 0, 2)[::-1], whole.sharp_HW3.transpose(1, 0, 2)[::-1])
    write_dataset([("train", turned)], tmp_path / "data", {})
    assert _same(_all(tmp_path / "data")[0][1], turned)


def test_manifest_counts_and_names(data):
    manifest = read_manifest(data)
    assert [manifest.count(split) for split in ("train", "validation", "test")] == [5, 2, 1]
    assert manifest.splits["validation"].scenes == ("scène 5", "scène 6")
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    assert len(manifest.splits["train"].shards) > 1
    assert [(data / shard.name).stat().st_size for shard in shards] == [shard.bytes for shard in shards]
    assert {path.name for path in data.iterdir()} == {"manifest.json", *(shard.name for shard in shards)}


def test_shards_are_plain_parquet(data):
    table = pq.read_table(data / "train-00000.parquet")
    assert table.column_names == [
        *("scene", "name", "label", "bits", "height", "width", "first_row", "first_column", "rows", "columns"),
        *("blurred", "sharp", "left", "right"),
    ]
    assert {str(field.type) for field in table.schema} == {"string", "uint8", "int32", "binary"}
    assert table.schema.metadata[b"gkm.schema_version"] == b"2"


def test_fingerprint_is_of_the_pixels_alone(tmp_path, pairs):
    def fingerprint(name, pairs, source=None, **options):
        return write_dataset(pairs, tmp_path / name, source or {"kind": "test"}, **options).fingerprint

    first = fingerprint("a", pairs)
    assert len(first) == 12
    assert fingerprint("b", pairs, origin="elsewhere", source_stamp="later", shard_bytes=1) == first
    assert read_manifest(tmp_path / "b").fingerprint == first
    assert fingerprint("c", pairs, {"kind": "other"}) != first
    pairs[0][1].sharp_HW3[0, 0, 0] ^= 1
    assert fingerprint("d", pairs) != first


def test_any_flipped_byte_is_detected(data):
    shard = read_manifest(data).splits["test"].shards[0]
    path, whole = data / shard.name, (data / shard.name).read_bytes()
    chooser = random.Random(0)
    for place in [0, len(whole) - 1, *(chooser.randrange(len(whole)) for _ in range(50))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chooser.randrange(8))]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"test-00000\.parquet: is damaged.*; copy"):
            list(read_shard(data, shard))


def test_cut_or_swapped_or_missing_shards_are_named(data):
    first, second = read_manifest(data).splits["train"].shards[:2]
    contents = (data / first.name).read_bytes()
    (data / first.name).write_bytes(contents[:-7])
    with pytest.raises(InputError, match=first.name):
        list(read_shard(data, first))
    (data / first.name).write_bytes((data / second.name).read_bytes())
    with pytest.raises(InputError, match=first.name):
        list(read_shard(data, first))
    (data / first.name).unlink()
    with pytest.raises(InputError, match=f"{first.name}: cannot be read"):
        list(read_shard(data, first))


def test_scene_in_two_splits_is_refused(tmp_path, pairs, random_pair):
    leak = ("test", random_pair("scene 0", 9))
    with pytest.raises(InputError, match=r"scene scene 0: is in the splits train and test, .*; keep every scene"):
        write_dataset([*pairs, leak], tmp_path / "data", {})
    assert list(tmp_path.iterdir()) == []


def test_failing_source_leaves_nothing(tmp_path, pairs):
    def failing():
        yield from pairs
        raise InputError("photo.png: is damaged")

    with pytest.raises(InputError, match=r"photo\.png"):
        write_dataset(failing(), tmp_path / "data", {})
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are no pairs"):
        write_dataset([], tmp_path / "data", {})
    assert list(tmp_path.iterdir()) == []


def test_only_a_data_set_is_replaced_and_only_when_asked(data, pairs, tmp_path):
    before = read_manifest(data).fingerprint
    with pytest.raises(InputError, match=r"holds another data set.*--overwrite"):
        write_dataset(pairs[:1], data, {})
    assert read_manifest(data).fingerprint == before
    assert write_dataset(pairs[:1], data, {}, overwrite=True).count("test") == 0
    assert read_manifest(data).count("train") == 1

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    (tmp_path / "home" / "manifest.json").write_text("of something else")
    with pytest.raises(InputError, match=r"home: holds letter\.txt, which is not of a data set"):
        write_dataset(pairs, tmp_path / "home", {}, overwrite=True)
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_unlike_partners_are_refused(random_pair):
    good = random_pair("a", 1)
    with pytest.raises(InputError, match=r"a/b: the blurred photograph is 48x40 pixels, the sharp one 48x39; crop"):
        Pair("a", "b", good.blurred_HW3, good.sharp_HW3[:39])
    with pytest.raises(InputError, match="uint8, the sharp one uint16"):
        Pair("a", "b", good.blurred_HW3, good.sharp_HW3.astype(np.uint16))
    with pytest.raises(InputError, match="height x width x 3"):
        Pair("a", "b", good.blurred_HW3[:, :, :2], good.sharp_HW3)


def _edit(data, change):
    content = json.loads((data / "manifest.json").read_text())
    change(content)
    (data / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: (data / "manifest.json").unlink(), r"holds no data set .*prepare_data\.py"),
        (lambda data: (data / "manifest.json").write_text("{"), "is no manifest"),
        (lambda data: (data / "manifest.json").write_text("[]"), "is no manifest"),
        (
            lambda data: _edit(data, lambda content: content.update(schema_version=99)),
            "has schema_version 99, but this version of gkm reads 2; use the newer gkm that made it",
        ),
        (
            lambda data: _edit(data, lambda content: content.update(schema_version=1)),
            "has schema_version 1, but this version of gkm reads 2; prepare the data set again with --overwrite",
        ),
        (lambda data: _edit(data, lambda content: content["splits"]["test"].update(extra=1)), "splits.test.extra"),
        (lambda data: _edit(data, lambda content: content["splits"].pop("test")), "was edited"),
        (
            lambda data: _edit(data, lambda content: content["splits"]["test"]["shards"][0].update(name="../x")),
            r"splits\.test\.shards\.0\.name",
        ),
        (
            lambda data: _edit(
                data, lambda content: content["splits"]["test"].update(shards=content["splits"]["train"]["shards"])
            ),
            "is in the splits train and test",
        ),
    ],
)
def test_missing_damaged_or_edited_manifest_is_refused(data, spoil, reason):
    spoil(data)
    with pytest.raises(InputError, match=reason):
        read_manifest(data)
