"""The command from photographs to a data set, run as a user runs it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from gkm.data.finding.layouts import find_pairs
from gkm.data.photos import read_rgb
from gkm.data.reading.cache import open_split
from pipelines.prepare_data import main
from pipelines.terminal.command import build

COMMAND = Path(__file__).resolve().parents[2] / "pipelines" / "prepare_data.py"


def _run(*arguments, status=0):
    """Runs the command in this process; returns what it said."""
    result = CliRunner().invoke(build(main), list(map(str, arguments)), env={"GKM_WORKSPACE": None})
    assert result.exit_code == status, result.output
    return (result.stdout if status == 0 else result.stderr).strip()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _photos(folder, split, count, dtype=np.uint8):
    for side in ("source", "target"):
        (folder / split / side).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            generator = np.random.default_rng([*map(ord, split + side), number])
            photo = generator.integers(0, np.iinfo(dtype).max, (40, 50, 3), dtype=dtype)
            if dtype == np.uint16:
                tifffile.imwrite(folder / split / side / f"{split} {number}.tif", photo, photometric="rgb")
            else:
                Image.fromarray(photo).save(folder / split / side / f"{split} {number}.png")


def test_real_dpd_photographs_round_trip(tmp_path, shared_data):
    folder = shared_data / "dpd_sample"
    said = _run("--source", folder, "--out", "dpd")
    assert "prepared 6 train, 2 validation, 2 test pairs, fingerprint" in said
    pairs = find_pairs(folder).pairs
    for split in ("train", "validation", "test"):
        ours = open_split(tmp_path / "dpd", split, tmp_path / "cache")
        theirs = [pair for pair in pairs if pair.split == split]
        for mine, pair in zip(ours, theirs, strict=True):
            assert mine.scene == pair.scene
            assert np.array_equal(mine.blurred_HW3, read_rgb(pair.blurred))
            assert np.array_equal(mine.sharp_HW3, read_rgb(pair.sharp))


@pytest.mark.slow
def test_sample_is_made_once_and_the_same_each_time(tmp_path):
    done = subprocess.run(
        [sys.executable, str(COMMAND), "--workspace", "runs"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first = done.stdout.strip()
    assert done.stderr == ""
    assert first.startswith("runs/data/sample: prepared 12 train, 3 validation, 6 test pairs")
    again = _run()
    assert "already there, nothing to do" in again
    elsewhere = _run("--out", "elsewhere")
    assert {text.split()[-1] for text in (first, again, elsewhere)} == {first.split()[-1]}
    manifest = json.loads((tmp_path / "runs/data/sample/manifest.json").read_text())
    assert manifest["fingerprint"] == first.split()[-1]
    assert not list(tmp_path.rglob("*.partial"))


def test_dry_run_writes_nothing(tmp_path):
    assert "would get 12 train, 3 validation, 6 test pairs; nothing written" in _run("--dry-run")
    assert list(tmp_path.iterdir()) == []


def test_16_bits_survive(tmp_path):
    _photos(tmp_path / "deep", "train_c", 2, np.uint16)
    _run("--source", "deep", "--out", "data")
    pair = open_split(tmp_path / "data", "train", tmp_path / "cache")[0]
    assert pair.sharp_HW3.dtype == np.uint16
    assert np.array_equal(pair.sharp_HW3, tifffile.imread(tmp_path / "deep/train_c/target/train_c 0.tif"))


def test_changed_source_is_noticed_and_replaced_only_when_asked(tmp_path):
    _photos(tmp_path / "photos", "train_c", 2)
    first = _run("--source", "photos", "--out", "data")
    assert "nothing to do" in _run("--source", "photos", "--out", "data")
    _photos(tmp_path / "photos", "val_c", 1)
    said = _run("--source", "photos", "--out", "data", status=2)
    assert said == "error: data: holds another data set; give another folder, or --overwrite to replace it"
    second = _run("--source", "photos", "--out", "data", "--overwrite")
    assert "2 train, 1 validation, 0 test pairs" in second
    assert first.split()[-1] != second.split()[-1]


def test_missing_shard_is_noticed(tmp_path):
    _photos(tmp_path / "photos", "train_c", 1)
    _run("--source", "photos", "--out", "data")
    shard = next((tmp_path / "data").glob("train-00000-*.parquet"))
    shard.unlink()
    said = _run("--source", "photos", "--out", "data", status=2)
    assert f"data/{shard.name}: is missing; prepare the data set again with --overwrite" in said
    _run("--source", "photos", "--out", "data", "--overwrite")


@pytest.mark.parametrize(
    ("spoil", "arguments", "reason"),
    [
        (shutil.rmtree, (), "photos: there is no such folder"),
        (lambda photos: shutil.rmtree(photos / "train_c"), (), "photos: holds no pairs of photographs"),
        (lambda photos: (photos / "train_c/source/train_c 0.png").unlink(), (), "has no partner"),
        (
            lambda photos: Image.new("RGB", (20, 20)).save(photos / "train_c/source/train_c 0.png"),
            (),
            "train_c 0.png: is 20x20 pixels, but its sharp partner",
        ),
        (
            lambda photos: (photos / "train_c/target/train_c 1.png").write_bytes(
                (photos / "train_c/source/train_c 1.png").read_bytes()[:3000]
            ),
            (),
            "train_c 1.png: cannot be read (damaged or cut short",
        ),
        (lambda photos: (photos.parent / "data").write_text("a file"), (), "data: is a file; give a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, spoil, arguments, reason):
    _photos(tmp_path / "photos", "train_c", 2)
    spoil(tmp_path / "photos")
    before = sorted(tmp_path.rglob("*"))
    said = _run("--source", "photos", "--out", "data", *arguments, status=2)
    assert said.startswith("error: ")
    assert reason in said
    assert said.count("\n") == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_needs_a_place(tmp_path):
    said = _run("--source", "photos", status=2)
    assert said == "error: --source photos: needs a place for the data set; give --out FOLDER"
