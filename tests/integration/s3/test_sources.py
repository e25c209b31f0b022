"""Photographs in S3 become the same data set as the same photographs in a folder."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from gkm import storage
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import choose_source

pytestmark = [pytest.mark.s3, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pairs as PNG, JPEG and 16-bit TIFF in DPD's layout, with labels, and a list of them."""
    generator = np.random.default_rng(0)
    names = {"train_c": "one.png", "val_c": "two.jpg", "test_c": "three.tif"}
    for split, name in names.items():
        for side in ("source", "target"):
            path = tmp_path / "dpd" / split / side / name
            path.parent.mkdir(parents=True)
            photo = generator.integers(0, 2**16, (70, 90, 3), dtype=np.uint16)
            if name.endswith("tif"):
                tifffile.imwrite(path, photo, photometric="rgb")
            else:
                Image.fromarray((photo >> 8).astype(np.uint8)).save(path)
    (tmp_path / "dpd" / "indoor_labels.txt").write_text("one.png\n")
    lines = [f"train,{split}/source/{name},{split}/target/{name}" for split, name in names.items()]
    (tmp_path / "dpd" / "pairs.csv").write_text("\n".join(["split,blurred,sharp", *lines]))
    return tmp_path / "dpd"


@pytest.mark.parametrize("name", ["", "/pairs.csv"])
def test_photographs_in_s3_give_the_same_data_set(place: str, folder: Path, tmp_path: Path, name: str) -> None:
    if not name:
        (folder / "pairs.csv").unlink()
    storage.upload_folder(folder, f"{place}/dpd")
    here, there = choose_source(f"{folder}{name}"), choose_source(f"{place}/dpd{name}")
    assert there.recognised == here.recognised
    assert there.origin == f"{place}/dpd{name}"
    ours, theirs = prepare(here, tmp_path / "here"), prepare(there, f"{place}/prepared")
    assert theirs.manifest.fingerprint == ours.manifest.fingerprint
    assert prepare(choose_source(f"{place}/dpd{name}"), f"{place}/prepared").already_there


def test_sharp_photographs_and_depth_maps_in_s3_are_defocused(place: str, folder: Path, tmp_path: Path) -> None:
    sharp, depth = folder / "train_c" / "target", tmp_path / "depth"
    depth.mkdir()
    np.save(depth / "one.npy", np.linspace(1, 5, 70 * 90).reshape(70, 90))
    storage.upload_folder(sharp, f"{place}/sharp")
    storage.upload_folder(depth, f"{place}/depth")
    here = choose_source(sharp, sharp_only=True, depth=depth)
    there = choose_source(f"{place}/sharp", sharp_only=True, depth=Path(f"{place}/depth"))
    ours, theirs = (prepare(source, tmp_path / name) for name, source in (("here", here), ("there", there)))
    assert theirs.manifest.fingerprint == ours.manifest.fingerprint
