"""Data sets: lossless, verified, deterministic, split by scene, whole or absent."""

import json
import random
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from gkm.data.dataset.manifest import read_manifest
from gkm.data.dataset.pair import Pair
from gkm.data.dataset.shard_file import write_shard
from gkm.data.dataset.shard_reader import open_shard, read_shard
from gkm.data.finding.layouts import find_pairs
from gkm.data.photos import read_rgb
from gkm.data.preparation.preparation import write_dataset
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
    assert {path.name for path in data.iterdir()} == {
        "manifest.json",
        "data_card.html",
        *(shard.name for shard in shards),
    }


def test_shards_are_plain_parquet(data):
    table = pq.read_table(next(data.glob("train-00000-*.parquet")))
    assert table.column_names == [
        *("scene", "name", "label", "bits", "height", "width", "first_row", "first_column", "rows", "columns"),
        *("blurred", "sharp", "left", "right"),
    ]
    assert {str(field.type) for field in table.schema} == {"string", "uint8", "int32", "binary"}
    assert table.schema.metadata[b"gkm.schema_version"] == b"2"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_documented_steps_decode_without_this_project(tmp_path, random_pair, dtype):
    pair = random_pair("a", 3, 300, 270, dtype)
    write_dataset([("train", pair)], tmp_path / "data", {})
    photo = np.empty_like(pair.sharp_HW3)
    for row in pq.read_table(next((tmp_path / "data").glob("train-00000-*.parquet"))).to_pylist():
        shape = (3, row["rows"], row["columns"])
        data = np.frombuffer(row["sharp"], np.uint8).reshape(row["bits"] // 8, *shape)
        planes = sum(plane.astype(dtype) << 8 * place for place, plane in enumerate(data))
        planes = np.cumsum(planes, axis=1, dtype=dtype)
        red, green, blue = planes[0] + planes[1], planes[1], planes[2] + planes[1]
        top, left = row["first_row"], row["first_column"]
        photo[top : top + row["rows"], left : left + row["columns"]] = np.stack([red, green, blue], axis=-1)
    assert np.array_equal(photo, pair.sharp_HW3)


@pytest.mark.parametrize("bits", [8, 16])
def test_real_photographs_come_back(shared_data, tmp_path, bits):
    generator = np.random.default_rng(0)
    pairs = []
    for found in find_pairs(shared_data / "dpd_sample").pairs:
        blurred, sharp = read_rgb(found.blurred), read_rgb(found.sharp)
        if bits == 16:
            deepen = lambda photo: photo * np.uint16(256) + generator.integers(0, 256, photo.shape, np.uint16)  # noqa: E731
            blurred, sharp = deepen(blurred), deepen(sharp)
        pairs.append((found.split, Pair(found.scene, found.name, blurred, sharp)))
    write_dataset(pairs, tmp_path / "data", {})
    assert len(pairs) == 10
    assert all(_same(ours, theirs) for (_, ours), (_, theirs) in zip(_all(tmp_path / "data"), pairs, strict=True))


def test_views_and_label_are_kept(tmp_path, random_pair):
    left, right = random_pair("x", 5), random_pair("x", 6)
    full = replace(random_pair("a", 1), label="indoor", left_HW3=left.sharp_HW3, right_HW3=right.sharp_HW3)
    bare = random_pair("b", 2)
    manifest = write_dataset([("train", full), ("train", bare)], tmp_path / "data", {})
    (_, ours), (_, plain) = _all(tmp_path / "data")
    assert _same(ours, full)
    assert ours.label == "indoor"
    assert np.array_equal(ours.left_HW3, full.left_HW3)
    assert np.array_equal(ours.right_HW3, full.right_HW3)
    assert (plain.label, plain.left_HW3, plain.right_HW3) == (None, None, None)
    assert read_manifest(tmp_path / "data").fingerprint == manifest.fingerprint
    with pytest.raises(InputError, match="the blurred photograph is 48x40 pixels, the left one 47x40"):
        replace(full, left_HW3=full.left_HW3[:, :47])


def test_one_shard_is_written_alone_whole_and_always_the_same(tmp_path, random_pair):
    pairs = [random_pair("a", 1), random_pair("b", 2, 300, 300)]
    first, again = (write_shard(tmp_path / folder / "train-00007.parquet", iter(pairs)) for folder in "xy")
    assert first == again
    assert (tmp_path / "x" / first.name).read_bytes() == (tmp_path / "y" / first.name).read_bytes()
    assert [_same(*both) for both in zip(read_shard(tmp_path / "x", first), pairs, strict=True)] == [True, True]

    def failing():
        yield pairs[0]
        raise InputError("photo.png: is damaged")

    with pytest.raises(InputError, match=r"photo\.png"):
        write_shard(tmp_path / "z" / "train-00000.parquet", failing())
    assert not list((tmp_path / "z").iterdir())
    with pytest.raises(ValueError, match="at least one pair"):
        write_shard(tmp_path / "z" / "train-00000.parquet", [])


def test_fingerprint_is_of_the_pixels_alone(tmp_path, pairs):
    def fingerprint(name, pairs, source=None, **options):
        return write_dataset(pairs, tmp_path / name, source or {"kind": "test"}, **options).fingerprint

    first = fingerprint("a", pairs)
    assert len(first) == 12
    assert fingerprint("b", pairs, shard_bytes=1) == first
    assert read_manifest(tmp_path / "b").fingerprint == first
    assert fingerprint("c", pairs, {"kind": "other"}) != first
    pairs[0][1].sharp_HW3[0, 0, 0] ^= 1
    assert fingerprint("d", pairs) != first


def _flips(data, shard, count):
    """Flips one bit of one byte at a time, in the middle of everything: contents, page headers, footer."""
    path, whole = data / shard.name, (data / shard.name).read_bytes()
    chooser = random.Random(0)
    for place in [0, len(whole) - 1, *(chooser.randrange(len(whole)) for _ in range(count - 2))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << chooser.randrange(8))]) + whole[place + 1 :])
        yield place
    path.write_bytes(whole)


def test_any_flipped_byte_is_detected(data):
    for split, info in read_manifest(data).splits.items():
        for shard in info.shards:
            for _ in _flips(data, shard, 100):
                with pytest.raises(InputError, match=rf"{split}-\d{{5}}-\w+\.parquet: is damaged.*; copy"):
                    next(read_shard(data, shard))


def test_blocks_read_alone_are_right_or_refused(data, pairs):
    """Without reading all of a shard, not every flip can be seen; but no wrong pixel may pass."""
    shard = read_manifest(data).splits["test"].shards[0]
    wanted = [photo.transpose(2, 0, 1) for _, photo in pairs[-1][1].photographs()]
    refused = 0
    for _ in _flips(data, shard, 200):
        outs = [np.zeros_like(photo) for photo in wanted]
        try:
            open_shard(data, shard).decode(0, outs)
        except InputError as error:
            refused += f"{shard.name}: is damaged" in str(error)
        else:
            assert all(np.array_equal(*both) for both in zip(outs, wanted, strict=True))
    assert refused > 190


def test_cut_or_swapped_or_missing_shards_are_named(data):
    first, second = read_manifest(data).splits["train"].shards[:2]
    contents = (data / first.name).read_bytes()
    (data / first.name).write_bytes(contents[:-7])
    for read in (lambda: list(read_shard(data, first)), lambda: open_shard(data, first)):
        with pytest.raises(InputError, match=first.name):
            read()
    (data / first.name).write_bytes((data / second.name).read_bytes())
    for read in (lambda: list(read_shard(data, first)), lambda: open_shard(data, first)):
        with pytest.raises(InputError, match=f"{first.name}: is damaged"):
            read()
    (data / first.name).unlink()
    with pytest.raises(InputError, match=f"{first.name}: cannot be read"):
        list(read_shard(data, first))


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
        (lambda data: (data / "manifest.json").unlink(), r"holds no data set .*gkm prepare"),
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
            "is in the splits train and test, so scores would be",
        ),
    ],
)
def test_missing_damaged_or_edited_manifest_is_refused(data, spoil, reason):
    spoil(data)
    with pytest.raises(InputError, match=reason):
        read_manifest(data)
