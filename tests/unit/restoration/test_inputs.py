"""What files, folders and globs stand for, and where their results go."""

from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.restoration.inputs import find_jobs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.jpg", "in/b.TIFF", "in/deep/er/c.webp", "in/notes.txt", "in/.trash/d.png", "x[1].png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("in/deep/back").symlink_to(Path.cwd() / "in")


def targets(*photos: str, out: str = "out", **options: object) -> list[str]:
    return [str(job.target) for job in find_jobs(list(map(Path, photos)), [], Path(out), **options).jobs]


def test_a_folder_is_its_photographs_in_the_same_folders() -> None:
    assert targets("in") == ["out/a.png", "out/b.tif", "out/deep/er/c.png"]
    assert targets("in", form="jpeg", comparison=True) == ["out/a.jpg", "out/b.jpg", "out/deep/er/c.jpg"]
    found = find_jobs([Path("in")], [], Path("out"))
    assert found.ignored == 1
    assert not any(job.named for job in found.jobs)


def test_results_inside_the_folder_are_no_input() -> None:
    Path("in/out").mkdir()
    Path("in/out/a.png").touch()
    assert targets("in", out="in/out") == ["in/out/a.png", "in/out/b.tif", "in/out/deep/er/c.png"]
    with pytest.raises(InputError, match=r"^in: holds the photographs themselves; choose another folder"):
        targets("in", out="in")


def test_a_photograph_is_restored_once_however_it_is_given() -> None:
    jobs = find_jobs([Path("in/a.jpg"), Path("in"), Path("in/*.jpg"), Path("in/../in/a.jpg")], [], Path("out")).jobs
    assert [str(job.files[0]) for job in jobs] == ["in/a.jpg", "in/b.TIFF", "in/deep/er/c.webp"]
    assert jobs[0].named


def test_a_name_with_brackets_is_a_file_if_it_is_there() -> None:
    assert targets("x[1].png") == ["out/x[1].png"]
    assert targets("in/[ab].*") == ["out/a.png", "out/b.tif"]
    with pytest.raises(InputError, match=r"in/\*\.bmp: no file has such a name"):
        targets("in/*.bmp")


@pytest.mark.parametrize(
    ("photos", "out", "options", "reason"),
    [
        (["in/a.jpg", "in/a.png"], "out", {}, "in/a.png: its result would replace that of in/a.jpg; rename one"),
        (["in/a-compare.tif", "in/a.jpg"], "out", {"comparison": True, "form": "png"}, "would replace that of"),
        (["in/b.png", "in/b.jpg"], "in", {}, "in/b.png: is a photograph to deblur and would be replaced"),
    ],
)
def test_no_result_replaces_a_photograph_or_another_result(photos, out, options, reason) -> None:
    with pytest.raises(InputError, match=reason):
        targets(*photos, out=out, **options)


def test_a_folder_without_photographs_is_said() -> None:
    Path("empty").mkdir()
    Path("empty/notes.txt").touch()
    with pytest.raises(InputError, match=r"^empty: has no photographs; give a folder with \.png, .*files$"):
        targets("empty")


@pytest.mark.parametrize(("photo", "out"), [("in/a.jpg", "s3://bucket/out"), ("s3://bucket/a.jpg", "out")])
def test_a_place_in_s3_is_said_and_no_folder_of_that_name_is_meant(photo: str, out: str) -> None:
    with pytest.raises(InputError, match=r"^s3://bucket/.*: lies in S3; give a folder on this machine"):
        targets(photo, out=out)
