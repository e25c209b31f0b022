"""Photographs through the deblur command: what it writes, and what it refuses before writing anything."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import DPDNetConfig
from gkm.data.photos import read_rgb
from gkm.evaluation import restore_image, two_stage_restorer
from gkm.networks import build
from gkm.training.checkpoint import load_weights, save_weights
from pipelines.deblur import main


def photo(
    path: Path, height: int = 40, width: int = 52, seed: int = 0, parents: bool = False, **options: object
) -> Path:
    if parents:
        path.parent.mkdir(parents=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def claim(side: int) -> bytes:
    """A PNG that says it has side x side pixels, and has none."""
    content = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    end = b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content)) + end


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


def test_a_cmyk_jpeg_is_restored_in_rgb(invoke, tmp_path: Path, out: Path) -> None:
    Image.new("CMYK", (52, 40), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    result = invoke(main, tmp_path / "red.jpg", "--out", out)
    assert result.exit_code == 0, result.stderr
    with Image.open(out / "red.png") as restored:
        assert (restored.mode, restored.size) == ("RGB", (52, 40))
        assert np.asarray(restored)[20, 26, 0] > np.asarray(restored)[20, 26, 1]


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
        (["good.png", "long" * 99], "longlong: cannot be read (file name too long)"),
        (["good.png", "folder"], "folder: has no photographs; give a folder with .png"),
        (["good.png", "*.bmp"], "*.bmp: no file has such a name"),
        (["good.png", "one.png"], "one.png: is only 1x1 pixels; photographs need at least 16"),
        (["good.png", "bomb.png"], "bomb.png: claims 11000x11000 pixels, more than 100 million"),
        (["good.png", "cut.png"], "cut.png: cannot be read (damaged or cut short"),
        (["good.png", "moving.gif"], "moving.gif: is an animation of 2 pictures; give a single photograph"),
        (["good.png", "moving.png"], "moving.png: is an animation of 2 pictures; give a single photograph"),
        (["good.png", "moving.webp"], "moving.webp: is an animation of 2 pictures; give a single photograph"),
        (["good.png", "pages.tif"], "pages.tif: holds 2 pages; save the photograph as a file of its own"),
        (["clear.png", "--format", "jpeg"], "clear.png: is transparent in parts, which JPEG cannot keep; write PNG"),
        (["good.png", "--format", "gif"], "--format gif: is no format that can be written; choose from png, jpeg"),
        (["full", "--out", "full"], "full: holds the photographs themselves; choose another folder"),
        (["good.png", "--out", "notes.txt"], "is a file"),
        (["good.png", "--out", "notes.txt/deep"], "cannot be written"),
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
    Path("full").mkdir()
    photo(Path("full/a.jpg"))
    Image.new("RGB", (1, 1)).save("one.png")
    Path("bomb.png").write_bytes(claim(11_000))
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:2000])
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    for name in ("moving.gif", "moving.png", "moving.webp", "pages.tif"):
        pictures[0].save(name, save_all=True, append_images=pictures[1:])
    Image.new("RGBA", (40, 40), (9, 9, 9, 99)).save("clear.png")
    before = sorted(Path().rglob("*"))
    result = invoke(main, "--out", "out", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr.replace("\n", " ")
    assert result.stderr.count("\n") == 1 or "Usage" in result.stderr
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
    (out / "a.png").write_bytes(b"mine")
    again = invoke(main, original, "--out", out)
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [
        f"{out}/a.png (kept)", "nothing left to deblur; 1 of before kept (--overwrite replaces them)"
    ]  # fmt: skip
    assert (out / "a.png").read_bytes() == b"mine"
    assert invoke(main, original, "--out", out, "--overwrite").exit_code == 0


def test_a_folder_is_no_result_of_before(invoke, tmp_path: Path, out: Path) -> None:
    (out / "a.png").mkdir(parents=True)
    result = invoke(main, photo(tmp_path / "a.png"), "--out", out)
    assert result.exit_code == 2
    assert f"{out}/a.png: cannot be written (is a directory)" in result.stderr


def test_folders_and_globs_are_restored_into_the_same_folders_and_what_is_bad_is_left_out(
    invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("holiday/a.jpg", "holiday/sea/b.png", "holiday/.hidden.png", "other/c.tif", "other/d.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        photo(Path(name))
    Path("holiday/sea/bad.png").write_bytes(b"no photograph")
    Path("holiday/notes.txt").write_text("words")
    for _ in range(2):  # the results are in the folder, and are no input of the second run
        result = invoke(main, "holiday", "holiday/a.jpg", "other/*.tif", "--out", "holiday/out", "--compare")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            "left out: holiday/sea/bad.png: is no photograph that can be read; give a PNG, JPEG or TIFF file of "
            "8 or 16 bits per channel",
            "error: 1 of 4 photographs cannot be used; the others are restored",
        ]
        written = [path for path in Path("holiday/out").rglob("*") if path.is_file()]
        assert sorted(map(str, written)) == [
            f"holiday/out/{name}"
            for name in ("a-compare.png", "a.png", "c-compare.png", "c.tif", "sea/b-compare.png", "sea/b.png")
        ]
        assert result.stdout.splitlines()[-1].endswith("1 other files ignored")
    assert "3 of before kept" in result.stdout
    before_and_after = read_rgb("holiday/out/sea/b-compare.png")
    assert np.array_equal(before_and_after[:, :52], read_rgb("holiday/sea/b.png"))
    assert np.array_equal(before_and_after[:, -52:], read_rgb("holiday/out/sea/b.png"))


def test_a_lost_comparison_is_made_of_the_photograph_that_is_there(invoke, tmp_path: Path, out: Path) -> None:
    original = photo(tmp_path / "a.png")
    assert invoke(main, original, "--out", out).exit_code == 0
    mine = photo(out / "a.png", seed=5).read_bytes()
    assert invoke(main, original, "--out", out, "--compare").exit_code == 0
    assert (out / "a.png").read_bytes() == mine
    assert np.array_equal(read_rgb(out / "a-compare.png")[:, -52:], read_rgb(out / "a.png"))


def test_json_says_what_became_of_each_photograph(invoke, tmp_path: Path, out: Path) -> None:
    good, bad = photo(tmp_path / "in" / "a.png", parents=True), tmp_path / "in" / "b.png"
    bad.write_bytes(b"")
    kept = photo(tmp_path / "in" / "c.png")
    out.mkdir(parents=True)
    (out / "c.png").write_bytes(b"mine")
    result = invoke(main, tmp_path / "in", "--out", out, "--json")
    assert result.exit_code == 2
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0].pop("seconds") >= 0
    assert lines == [
        {
            "path": str(good),
            "output": f"{out}/a.png",
            "status": "restored",
            "size": [52, 40],
            "bits": 8,
            "model": "gkmnet version 1 (challenger)",
            "version": 1,
        },
        {"path": str(bad), "status": "refused", "reason": f"{bad}: is empty; copy the photograph again"},
        {"path": str(kept), "output": f"{out}/c.png", "status": "kept"},
    ]
    assert result.stderr == "error: 1 of 3 photographs cannot be used; the others are restored\n"


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(invoke, tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").mkdir()
    original = photo(tmp_path / "in" / "a.jpg")
    arguments = [tmp_path / "in", "--out", out, "--format", "tiff", "--dry-run"]
    result = invoke(main, *arguments, "--workspace", tmp_path / "nowhere")
    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"{out}/a.tif", "would deblur 1 of 1 photographs"])
    assert not out.exists()
    assert json.loads(invoke(main, *arguments, "--json").stdout)["status"] == "planned"
    original.write_bytes(original.read_bytes()[:900])
    assert invoke(main, *arguments).exit_code == 2


@pytest.mark.parametrize("name", ["a.png", "a[1]*.png", "\udcff.png"])
def test_what_a_killed_process_had_begun_to_write_goes(invoke, tmp_path: Path, out: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in" / name)
    out.mkdir(parents=True)
    of_dead, of_living = out / f".{name}.{2**22 + 1}-0123abcd.partial", out / f".{name}.1-0123abcd.partial"
    of_dead.write_bytes(b"half")
    of_living.write_bytes(b"half")
    result = invoke(main, tmp_path / "in", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert sorted(out.iterdir()) == sorted([of_living, out / name])


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


def test_a_method_without_a_network_needs_no_registry(invoke, tmp_path: Path, out: Path) -> None:
    photograph = photo(tmp_path / "a.png")
    result = invoke(main, photograph, "--out", out, "--with", "ebdb", "--json", "--workspace", tmp_path / "nowhere")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["status"], told["model"], told["version"]) == ("restored", "EBDB", None)
    given = torch.from_numpy(read_rgb(photograph).astype(np.float32).transpose(2, 0, 1) / 255)[None]
    expected = (two_stage_restorer("ebdb")(given)[0].permute(1, 2, 0) * 255).round().numpy()
    np.testing.assert_array_equal(read_rgb(out / "a.png"), expected)
    assert not (tmp_path / "nowhere").exists()


def test_the_kind_of_a_network_names_its_registered_model(
    invoke, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gkmnet").mkdir()  # a folder of that name is not meant
    result = invoke(main, photo(tmp_path / "a.png"), "--out", out, "--with", "gkmnet")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "deblurred with gkmnet version 1 (challenger)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.png", "--with", "wiener"], "--with wiener: is no method; choose from ebdb, jnb, gkmnet,"),
        (
            ["a.png", "--with", "gkmnet", "--model", "1"],
            "--with gkmnet: is the registered model of that kind; leave out --model, or",
        ),
        (["a.png", "--with", "srn"], "srn: no such network is registered in "),
        (["a.png", "--with", "attnet"], "--set model.kind=attnet --register"),
        (["a.png", "--with", "ebdb", "--model", "champion"], "--with ebdb: needs no model; leave out --model"),
        (["--left", "a.png", "--right", "b.png", "--with", "ebdb"], "--left, --right: EBDB sees a photograph, not"),
    ],
)
def test_methods_refuse_what_they_cannot_do(
    invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("a.png"))
    photo(Path("b.png"), seed=1)
    result = invoke(main, "--out", "out", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr.replace("\n", " ")
    assert not Path("out").exists()
