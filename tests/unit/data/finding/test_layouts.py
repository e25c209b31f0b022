"""Layouts: data sets as they are published are recognised, in words; what cannot be paired is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gkm.data.finding.layouts import find_pairs
from gkm.data.finding.splitting import Shares
from gkm.errors import InputError


def photos(folder, *names):
    """Small photographs; what they show does not matter here."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(path)
    return folder


def told(found):
    """What the pairs are, in short."""
    return [(pair.split, pair.scene, pair.blurred.name, pair.sharp.name) for pair in found.pairs]


def test_dpd_as_published(tmp_path):
    """Names of partners differ by a camera number or two; the authors' own code pairs them in sorted order."""
    photos(tmp_path / "train_c", "source/1P0A1442.png", "source/1P0A1444.png", "target/1P0A1443.png")
    photos(tmp_path / "train_c", "target/1P0A1445.png")
    photos(tmp_path / "val_c", "source/1P0A0933.tif", "target/1P0A0932.tif")
    photos(tmp_path / "test_c", "source/1P0A1983.png", "target/1P0A1985.png")
    photos(tmp_path, "train_l/source/1P0A1442_L.png", "train_r/source/1P0A1442_R.png")
    found = find_pairs(tmp_path)
    assert told(found) == [
        ("train", "1P0A1442", "1P0A1442.png", "1P0A1443.png"),
        ("train", "1P0A1444", "1P0A1444.png", "1P0A1445.png"),
        ("validation", "1P0A0933", "1P0A0933.tif", "1P0A0932.tif"),
        ("test", "1P0A1983", "1P0A1983.png", "1P0A1985.png"),
    ]
    assert found.layout == "dpd"
    assert found.why == (
        "train_c, val_c, test_c with source and target, partners by sorted order, as their names differ"
    )
    assert found.left_out == ("dual-pixel views (train_l, train_r)",)


def test_dpd_with_a_photograph_missing_is_not_paired_awry(tmp_path):
    photos(tmp_path / "test_c", *(f"source/1P0A{number}.png" for number in (1442, 1456, 1488)))
    photos(tmp_path / "test_c", *(f"target/1P0A{number}.png" for number in (1443, 1489, 1500)))
    with pytest.raises(InputError, match=r"source/1P0A1456\.png: its partner .*1P0A1489.* is far off; add"):
        find_pairs(tmp_path)
    (tmp_path / "test_c/target/1P0A1489.png").rename(tmp_path / "test_c/target/1P0A1457.png")
    (tmp_path / "test_c/target/1P0A1500.png").unlink()
    with pytest.raises(InputError, match=r"source: holds 3 photographs, but .*target 2"):
        find_pairs(tmp_path)


def test_dpd_with_equal_names_is_paired_by_them(tmp_path):
    photos(tmp_path / "train_c", "source/b.png", "source/a.png", "target/a.tif", "target/b.png")
    (tmp_path / "train_c" / "source" / "notes.txt").write_text("not a photograph")
    (tmp_path / "train_c" / "source" / "._a.png").write_text("left by another system")
    found = find_pairs(tmp_path)
    assert told(found) == [("train", "a", "a.png", "a.tif"), ("train", "b", "b.png", "b.png")]
    assert found.left_out == ()


def test_real_dpd_photographs_are_found(shared_data):
    splits = [pair.split for pair in find_pairs(shared_data / "dpd_sample").pairs]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [6, 2, 2]


def test_rtf(tmp_path):
    names = [f"{number:02}" for number in range(1, 23)]
    photos(tmp_path, *(f"image/0/image_{n}.png" for n in names), *(f"image/1/image_{n}.png" for n in names))
    photos(tmp_path, *(f"GT/sharp_{n}.png" for n in names))
    found = find_pairs(tmp_path)
    assert (found.layout, found.why) == ("rtf", "image/0 and GT, a test set alone, partners by number")
    assert len(found.pairs) == 22
    assert told(found)[21] == ("test", "image_22", "image_22.png", "sharp_22.png")
    assert found.pairs[0].blurred.parent.name == "0"
    assert found.left_out == ("copies with added noise (image/1)",)


def test_cuhk_is_recognised_and_refused_with_what_can_be_done(tmp_path):
    photos(tmp_path, "image/out_of_focus0001.jpg", "image/motion0001.jpg", "gt/out_of_focus0001.png")
    with pytest.raises(InputError, match=r"is CUHK-BD, .* without sharp partners.*gkm deblur .*image/\*\.jpg"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("source/a.png", "target/a.png"), "train"),
        (("test/input/a.png", "test/sharp/a.png"), "test"),
        (("blurred/val/a.png", "sharp/val/a.png"), "validation"),
        (("train/inputC/a.png", "train/inputL/a.png", "train/target/a.png"), "train"),
    ],
)
def test_parallel_folders(tmp_path, names, expected):
    found = find_pairs(photos(tmp_path, *names))
    assert found.layout == "parallel"
    assert told(found) == [(expected, "a", "a.png", "a.png")]


def test_any_two_folders_are_shared_out(tmp_path):
    names = [f"{number}.png" for number in range(20)]
    photos(tmp_path / "unsharp", *names)
    photos(tmp_path / "crisp", *names)
    found = find_pairs(tmp_path / "unsharp", sharp=tmp_path / "crisp")
    splits = [pair.split for pair in found.pairs]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [14, 3, 3]
    assert found.why == "two folders, partners by name, shared out 70/15/15"
    tested = find_pairs(tmp_path / "unsharp", sharp=tmp_path / "crisp", shares=Shares.parse("test"))
    assert {pair.split for pair in tested.pairs} == {"test"}


def test_list_of_pairs(tmp_path):
    photos(tmp_path, "x/a 1.png", "y/s.png", "x/a2.png", "z.png")
    (tmp_path / "pairs.csv").write_text(
        "\ufeffsplit,scene,blurred,sharp,label\ntrain,house,x/a 1.png,y/s.png,outdoor\nval,hall,x/a2.png,z.png,\n"
    )
    for source in (tmp_path, tmp_path / "pairs.csv"):
        found = find_pairs(source)
        assert (found.layout, found.why) == ("csv", "2 lines of pairs.csv")
        assert told(found) == [("train", "house", "a 1.png", "s.png"), ("validation", "hall", "a2.png", "z.png")]
        assert [pair.label for pair in found.pairs] == ["outdoor", None]


def test_scenes_of_a_list_stay_together_when_shared_out(tmp_path):
    lines = [f"{scene},{scene}-{shot}.png,{scene}.png" for scene in range(9) for shot in range(3)]
    (tmp_path / "pairs.csv").write_text("\n".join(["scene,blurred,sharp", *lines]))
    found = find_pairs(tmp_path)
    assert {pair.split for pair in found.pairs} == {"train", "validation", "test"}
    assert len({(pair.scene, pair.split) for pair in found.pairs}) == 9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"has no column blurred and no column sharp; let its first line read"),
        ("blurred,crisp\na,b\n", "has no column sharp"),
        ("blurred,sharp,weather\na,b,c\n", "the column weather is not known"),
        ("blurred,sharp\na.png,\n", r"pairs\.csv, line 2: names no sharp photograph"),
        ("blurred,sharp\n\na.png,b.png\n\nc.png,\n", r"pairs\.csv, line 5: names no sharp photograph"),
        ("blurred,sharp\na,1.png,b.png\n", r"pairs\.csv, line 2: has more fields than the first line"),
        ("split,scene,blurred,sharp\n", r"pairs\.csv: lists no pairs"),
        ("blurred,sharp\na.png,b.png\nc.png,d.png,e.png\n", "line 3: has more fields"),
        ("split,blurred,sharp\nexam,a.png,b.png\n", "line 2: split = 'exam' is not known; use train, validation, test"),
        (b"blurred,sharp\n\xff\xfe,b\n", "is no CSV file of UTF-8 text"),
    ],
)
def test_bad_list_is_refused_by_line(tmp_path, text, reason):
    (tmp_path / "pairs.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=reason):
        find_pairs(tmp_path)


def test_labels_are_kept(tmp_path):
    photos(tmp_path, *(f"{split}_c/{side}/{split}.png" for split in ("train", "val") for side in ("source", "target")))
    (tmp_path / "indoor_labels.txt").write_text("train.png\n")
    (tmp_path / "val_c" / "labels.csv").write_text("name,label\nval,outdoor\n")
    assert [pair.label for pair in find_pairs(tmp_path).pairs] == ["indoor", "outdoor"]
    (tmp_path / "labels.csv").write_text("photo,kind\na,b\n")
    with pytest.raises(InputError, match=r"labels\.csv: lacks the column"):
        find_pairs(tmp_path)


def _folder(tmp_path):
    return photos(tmp_path / "dpd", "train_c/source/a.png", "train_c/target/a.png")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "train_c/target/a.png").unlink(), r"source/a\.png: has no partner .* in .*target"),
        (lambda folder: (folder / "train_c/source/a.png").unlink(), r"target/a\.png: has no partner .* in .*source"),
        (lambda folder: (folder / "train_c").rename(folder / "other"), "holds no pairs of photographs in a layout"),
        (lambda folder: (folder / "train_c/target").rename(folder / "x"), "target: there is no such folder"),
        (lambda folder: folder.rename(folder.with_name("y")), "dpd: there is no such folder; give a folder"),
        (
            lambda folder: [(folder / "train_c" / side / "a.png").unlink() for side in ("source", "target")],
            "holds no pairs of photographs; blurred ones belong into train_c/source",
        ),
        (
            lambda folder: (folder / "train_c").rename((folder / "inner").mkdir() or folder / "inner" / "train_c"),
            r"holds no pairs of photographs itself; give .*dpd/inner",
        ),
        (
            lambda folder: photos(folder, "train_c/source/A.png", "train_c/target/A.png"),
            r"source/a\.png: differs from A\.png in upper and lower case alone; rename or remove",
        ),
        (lambda folder: photos(folder, "train_c/source/a.tif"), r"a\.tif: differs from a\.png in suffix alone"),
        (
            lambda folder: (folder / "train_c/target/a.png").rename(folder / "train_c/target/A.png"),
            r"A\.png: differs from .*source/a\.png in upper and lower case; give both the same name",
        ),
    ],
)
def test_folder_that_cannot_be_paired_is_refused(tmp_path, spoil, reason):
    folder = _folder(tmp_path)
    spoil(folder)
    with pytest.raises(InputError, match=reason):
        find_pairs(folder)


def test_named_layout_must_fit(tmp_path):
    folder = _folder(tmp_path)
    assert find_pairs(folder, "dpd").layout == "dpd"
    with pytest.raises(InputError, match=r"is not in the layout rtf \(RTF .*\); leave out --layout"):
        find_pairs(folder, "rtf")
    with pytest.raises(InputError, match="--layout dpp: is not known; use auto, csv, dpd"):
        find_pairs(folder, "dpp")


def test_which_folders_are_meant_is_not_guessed(tmp_path):
    with pytest.raises(InputError, match="could all be partners; give the folders themselves"):
        find_pairs(photos(tmp_path, "input/a.png", "sharp/a.png", "gt/a.png"))


def test_links_are_followed_but_not_in_circles(tmp_path):
    folder = _folder(tmp_path)
    (folder / "train_c").rename(tmp_path / "elsewhere")
    (folder / "train_c").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (tmp_path / "elsewhere" / "source" / "round").symlink_to(tmp_path / "elsewhere")
    assert told(find_pairs(folder)) == [("train", "a", "a.png", "a.png")]


def test_accents_are_the_same_however_they_are_written(tmp_path):
    photos(tmp_path, "train_c/source/cafe\u0301 1.png", "train_c/target/caf\u00e9 1.png")
    assert [pair.scene for pair in find_pairs(tmp_path).pairs] == ["caf\u00e9 1"]


def test_name_that_is_no_text_is_refused(tmp_path):
    folder = _folder(tmp_path)
    for side in ("source", "target"):
        path = Path(str(folder / "train_c" / side / "b\udcff.png"))
        path.write_bytes((folder / "train_c/source/a.png").read_bytes())
    with pytest.raises(InputError, match="its name is not valid UTF-8; rename it"):
        find_pairs(folder)


@pytest.mark.parametrize("options", [{}, {"sharp": "sharp"}])
def test_a_place_that_cannot_be_looked_at_is_said(tmp_path, options):
    for name in ("long" * 99, "long" * 99 + ".csv"):
        with pytest.raises(InputError, match=r"long(\.csv)?: cannot be read \(file name too long\)"):
            find_pairs(tmp_path / name, **options)
