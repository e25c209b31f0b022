"""Photographs through the deblur command: what it writes, and what it refuses before writing anything."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import DPDNetConfig
from gkm.data.photos import read_rgb
from gkm.evaluation import restore_image
from gkm.networks import build
from gkm.training.checkpoint import load_weights, save_weights
from pipelines.deblur import main


def photo(path: Path, height: int = 40, width: int = 52, seed: int = 0, **options: object) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "deep"


def test_photographs_become_pngs_of_the_same_name_and_size(invoke, tmp_path: Path, out: Path) -> None:
    first = photo(tmp_path / "Übung 1.jpg", 40, 52)
    second = photo(tmp_path / "b.c.png", 33, 17)
    result = invoke(main, first, second, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"{out}/Übung 1.png", f"{out}/b.c.png", "deblurred with gkmnet version 1 (challenger)"
    ]  # fmt: skip
    assert [read_rgb(out / name).shape for name in ("Übung 1.png", "b.c.png")] == [(40, 52, 3), (33, 17, 3)]


def test_weights_from_a_directory_need_no_registry(invoke, tmp_path: Path, out: Path, weights: Path) -> None:
    elsewhere = tmp_path / "nowhere"
    photograph = photo(tmp_path / "a.png")
    result = invoke(main, photograph, "--out", out, "--model", weights, "--workspace", elsewhere)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"deblurred with {weights}"
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["good.png", "notes.txt"], "notes.txt: is no photograph"),
        (["good.png", "missing.png"], "missing.png: cannot be read"),
        (["good.png", "folder"], "folder: cannot be read"),
        (["good.png", "good.jpg"], "good.jpg: its result would replace that of good.png"),
        (["good.png", "--model", "champion"], "champion: is no version or alias of gkmnet"),
        (["good.png", "--workspace", "nowhere"], "there is no tracking database"),
        (["good.png", "--tracking-uri", "http://127.0.0.1:9"], "no MLflow server answers"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_nothing_is_written(
    invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("good.png"))
    photo(Path("good.jpg"))
    Path("notes.txt").write_text("no picture")
    Path("folder").mkdir()
    before = sorted(Path().rglob("*"))
    result = invoke(main, *arguments, "--out", "out")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before


def test_photographs_and_earlier_results_are_not_replaced(invoke, tmp_path: Path) -> None:
    original = photo(tmp_path / "a.png")
    content = original.read_bytes()
    for arguments in (["--out", tmp_path], ["--out", tmp_path, "--overwrite"]):
        result = invoke(main, original, *arguments)
        assert result.exit_code == 2
        assert "is a photograph to deblur and would be replaced" in result.stderr
    assert original.read_bytes() == content

    out = tmp_path / "out"
    assert invoke(main, original, "--out", out).exit_code == 0
    again = invoke(main, original, "--out", out)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert invoke(main, original, "--out", out, "--overwrite").exit_code == 0


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that sees two views."""
    torch.manual_seed(0)
    return save_weights(build(DPDNetConfig(width=2, depth=3, views="dual")), tmp_path_factory.mktemp("dual"))


def test_two_views_become_one_photograph_named_after_the_left(invoke, tmp_path: Path, out: Path, dual: Path) -> None:
    left, right = photo(tmp_path / "a_L.png"), photo(tmp_path / "a_R.png", seed=1)
    more = photo(tmp_path / "b_L.png", 33, 17, seed=2), photo(tmp_path / "b_R.png", 33, 17, seed=3)
    views = ["--left", left, "--right", right, "--left", more[0], "--right", more[1]]
    result = invoke(main, *views, "--out", out, "--model", dual)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [f"{out}/a_L.png", f"{out}/b_L.png", f"deblurred with {dual}"]
    network = load_weights(dual)
    expected = restore_image(network, read_rgb(left), read_rgb(right))
    assert np.array_equal(read_rgb(out / "a_L.png"), expected)
    assert not np.array_equal(expected, restore_image(network, read_rgb(right), read_rgb(left)))
    assert read_rgb(out / "b_L.png").shape == (33, 17, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["a_L.png", "--model", "DUAL"],
            "a_L.png: DUAL sees two dual-pixel views, not a photograph; give them with --left",
        ),
        (
            ["--left", "a_L.png", "--right", "a_R.png"],
            "--left, --right: gkmnet version 1 (challenger) sees a photograph, not its dual-pixel views; give",
        ),
        (["--left", "a_L.png", "--model", "DUAL"], "1 left and 0 right views were given; give each view its partner"),
        (["--right", "a_R.png", "--model", "DUAL"], "0 left and 1 right views were given; give each view its partner"),
        (
            ["--left", "a_L.png", "--right", "small.png", "--model", "DUAL"],
            "a_L.png is 52x40 and small.png is 20x40 pixels; give two views of one photograph",
        ),
        (["a_L.png", "--left", "a_L.png", "--right", "a_R.png"], "--left: cannot go with photographs"),
        (["--left", "a_L.png", "--right", "a_R.png", "--out", "."], "a_L.png: is a photograph to deblur and would be"),
        ([], "there is nothing to deblur; give photographs, or dual-pixel views with --left and --right"),
    ],
)
def test_views_and_models_that_do_not_go_together(
    invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dual: Path, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("a_L.png"))
    photo(Path("a_R.png"), seed=1)
    photo(Path("small.png"), 40, 20)
    before = sorted(Path().rglob("*"))
    result = invoke(main, "--out", "out", *[str(dual) if word == "DUAL" else word for word in arguments])
    assert result.exit_code == 2
    assert sentence.replace("DUAL", str(dual)) in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(Path().rglob("*")) == before
