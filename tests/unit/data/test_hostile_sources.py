"""Folders with something wrong in them: refused with file, reason and remedy, and nothing is left behind."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source
from gkm.errors import InputError

PHOTO = np.random.default_rng(5).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def _save(path, array, **options):
    Image.fromarray(array).save(path, **options)


def _cut(path):
    path.write_bytes(path.read_bytes()[:3000])


def _tiff16(folder):
    import tifffile

    path = folder / "target/IMG_1.png"
    path.unlink()
    tifffile.imwrite(folder / "target/IMG_1.tif", PHOTO.astype(np.uint16) * 257, photometric="rgb")


SPOILT = {
    "truncated": (lambda f: _cut(f / "source/IMG_1.png"), r"source/IMG_1\.png: cannot be read"),
    "empty": (lambda f: (f / "target/IMG_1.png").write_bytes(b""), r"target/IMG_1\.png: is empty"),
    "text": (lambda f: (f / "target/IMG_1.png").write_text("no"), r"target/IMG_1\.png: is no photograph"),
    "one pixel": (lambda f: _save(f / "source/IMG_1.png", PHOTO[:1, :1]), "is only 1x1 pixels"),
    "sizes differ": (
        lambda f: _save(f / "source/IMG_1.png", PHOTO[:90]),
        r"source/IMG_1\.png: is 128x90 pixels, but its sharp partner .*target/IMG_1\.png is 128x96; crop or resize",
    ),
    "bits differ": (_tiff16, r"source/IMG_1\.png: has 8 bits per channel, but its sharp partner .*IMG_1\.tif has 16"),
    "missing partner": (
        lambda f: (f / "target/IMG_1.png").unlink(),
        r"source/IMG_1\.png: has no partner of the same name in .*target; add it or remove this one",
    ),
    "missing blurred": (lambda f: (f / "source/IMG_1.png").unlink(), r"target/IMG_1\.png: has no partner"),
    "names differ in case": (
        lambda f: (f / "target/IMG_1.png").rename(f / "target/img_1.png"),
        r"source/IMG_1\.png: differs from .*target/img_1\.png in upper and lower case; give both the same name",
    ),
    "two names in one but for case": (
        lambda f: [_save(f / side / "img_1.png", PHOTO) for side in ("source", "target")],
        r"source/img_1\.png: differs from IMG_1\.png in upper and lower case alone; rename or remove one",
    ),
    "link to itself": (
        lambda f: [(f / "source/IMG_1.png").unlink(), (f / "source/IMG_1.png").symlink_to("IMG_1.png")],
        r"source/IMG_1\.png: cannot be read \(too many levels of symbolic links\)",
    ),
    "link to nowhere": (
        lambda f: [(f / "source/IMG_1.png").unlink(), (f / "source/IMG_1.png").symlink_to("gone.png")],
        r"source/IMG_1\.png: cannot be read \(no such file or directory\)",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
@pytest.mark.parametrize("split", ["train_c", "test_c"])
def test_fault_is_named_and_nothing_is_left(dpd, tmp_path, fault, split):
    spoil, reason = SPOILT[fault]
    for side in ("source", "target"):
        shutil.copyfile(dpd / f"train_c/{side}/IMG_1.png", dpd / split / side / "IMG_1.png.new")
        (dpd / split / side / "IMG_1.png.new").rename(dpd / split / side / "IMG_1.png")
    if split == "test_c":
        for side in ("source", "target"):
            (dpd / f"train_c/{side}/IMG_1.png").unlink()
    spoil(dpd / split)
    with pytest.raises(InputError, match=reason) as caught:
        prepare(open_source(dpd), tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()
    leftovers = [path for path in tmp_path.iterdir() if path != dpd]
    assert all(path.name == ".data.unfinished" and not (path / "manifest.json").exists() for path in leftovers)


def test_mended_photograph_is_all_that_is_missing(dpd, tmp_path):
    """What was finished before the fault was found is not done again."""
    good = (dpd / "test_c/source/IMG_4.png").read_bytes()
    _cut(dpd / "test_c/source/IMG_4.png")
    with pytest.raises(InputError, match=r"IMG_4\.png: cannot be read"):
        prepare(open_source(dpd), tmp_path / "data")
    (dpd / "test_c/source/IMG_4.png").write_bytes(good)
    made = []
    from gkm.data.preparation.preparation import one_by_one

    prepare(open_source(dpd), tmp_path / "data", run=lambda jobs: one_by_one(made.extend(jobs) or jobs))
    assert [job.split for job in made] == ["test"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_other_kinds_of_photographs_are_prepared_as_rgb(dpd, tmp_path, mode):
    for side in ("source", "target"):
        path = dpd / f"train_c/{side}/IMG_1.png"
        Image.open(path).convert(mode).save(path)
    manifest = prepare(open_source(dpd), tmp_path / "data").manifest
    assert manifest.count("train") == 3


def test_names_in_any_script_and_with_spaces_are_kept(dpd, tmp_path):
    names = ["Straße bei Nacht", "写真 1", "foto \U0001f4f7", "l'été, 5 %", "a;b & c"]
    for number, name in enumerate(names):
        for seed, side in enumerate(("source", "target")):
            photo = np.random.default_rng([number, seed]).integers(0, 256, (96, 128, 3), dtype=np.uint8)
            _save(dpd / f"train_c/{side}/{name}.png", photo)
    manifest = prepare(open_source(dpd), tmp_path / "größe 写").manifest
    assert set(names) <= {entry.scene for entry in manifest.splits["train"].entries}
    assert set(names) <= {
        pair["scene"]
        for shard in json.loads((tmp_path / "größe 写/manifest.json").read_text())["splits"]["train"]["shards"]
        for pair in shard["pairs"]
    }
    page = (tmp_path / "größe 写/data_card.html").read_text()
    assert "a;b &amp; c" in page


def test_names_cannot_break_out_of_the_card(dpd, tmp_path):
    name = '"><script>alert(1)<'
    for side in ("source", "target"):
        (dpd / f"train_c/{side}/IMG_1.png").rename(dpd / f"train_c/{side}/{name}.png")
    prepare(open_source(dpd), tmp_path / "data")
    assert "<script" not in (tmp_path / "data/data_card.html").read_text()


def test_pipe_with_the_name_of_a_photograph_is_no_wait(dpd, tmp_path):
    (dpd / "train_c/source/IMG_1.png").unlink()
    os.mkfifo(dpd / "train_c/source/IMG_1.png")
    with pytest.raises(InputError, match=r"IMG_1\.png: is "):
        prepare(open_source(dpd), tmp_path / "data")
