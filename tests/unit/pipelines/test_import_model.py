"""Released checkpoints through the import command: registered with where they come from, or refused in a sentence."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import GKMNetConfig
from gkm.data.photos import read_rgb
from gkm.evaluation import restore_image
from gkm.networks import load_official
from gkm.networks.gkmnet import GKMNet
from gkm.networks.gkmnet.official import export_official
from gkm.registry.versions import find
from gkm.tracking import open_tracking
from pipelines import deblur
from pipelines.import_model import main


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the authors write it, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("release") / "weights.pth"
    export_official(GKMNet(GKMNetConfig.official()), path)
    return path


@pytest.mark.slow
def test_a_released_checkpoint_becomes_a_version_to_deblur_with(
    invoke, workspace: Path, tmp_path: Path, release: Path
) -> None:
    for _ in range(2):  # the same file again is the same version
        done = invoke(main, release, "--licence", "MIT", "--source", "https://example.org/w.pth")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.splitlines()[0] == "gkmnet version 2 (challenger): gkmnet, 1,409,131 parameters"
    version = find(open_tracking(workspace, None), "challenger")
    tags = version.tags
    for said in (
        "gkmnet as its authors released it.",
        "Licence\n\nMIT",
        "Source\n\nhttps://example.org/w.pth",
        "1,409,131",
    ):
        assert said in version.description
    assert "Not measured on validation photographs." in version.description
    digest = hashlib.sha256(release.read_bytes()).hexdigest()
    assert [tags[f"gkm.{key}"] for key in ("source", "licence", "sha256", "network")] == [
        "https://example.org/w.pth", "MIT", digest, "gkmnet"
    ]  # fmt: skip
    photo = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    assert invoke(deblur.main, photo, "--out", tmp_path / "out", "--model", 2).exit_code == 0
    expected = restore_image(load_official(release, "gkmnet"), pixels)
    assert np.array_equal(read_rgb(tmp_path / "out" / "photo.png"), expected)


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("run",)


def test_what_is_no_checkpoint_of_that_network_is_refused_and_nothing_is_registered(
    invoke, workspace: Path, tmp_path: Path, release: Path, weights: Path
) -> None:
    code, partial, other = tmp_path / "code.pth", tmp_path / "partial.pth", tmp_path / "shape.pth"
    code.write_bytes(pickle.dumps(Code(), protocol=2))
    state = torch.load(release, weights_only=True)
    first, *rest = state
    torch.save({name: state[name] for name in rest}, partial)
    torch.save({**state, first: state[first][:1]}, other)
    for arguments, sentence in (
        ([code], "code.pth: is no state dict that can be read without running code"),
        ([partial], f"partial.pth: {first} is missing"),
        ([other], f"shape.pth: {first} has the shape"),
        ([weights / "model.safetensors"], "is no weight of the authors' release"),
        ([tmp_path / "nowhere.pth"], "nowhere.pth: cannot be read"),
        ([release, "--network", "nonet"], "nonet: is no network with released checkpoints; choose from gkmnet"),
    ):
        done = invoke(main, *arguments)
        assert done.exit_code == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    assert find(open_tracking(workspace, None), "challenger").version == 1
