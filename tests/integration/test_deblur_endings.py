"""A folder of photographs whose restoration is killed, and the demo that is stopped: what stays, and what goes on."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import ModelConfig
from gkm.data.photos import read_rgb
from gkm.evaluation import restore_image
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.training.checkpoint import load_weights, save_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COUNT = 30


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
    torch.nn.init.constant_(model.blocks[0].omega_y, 0.5)
    return save_weights(model, tmp_path_factory.mktemp("weights"))


def start(*arguments: object, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  # no other threads run in these tests
    )


def _heed_interrupts() -> None:
    """Tests that a shell runs in the background hand on that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_goes_on_after_it_was_ended(tmp_path: Path, weights: Path, ending: signal.Signals) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    photos.mkdir()
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (200, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number:02}.png")
    arguments = ("deblur", photos, "--out", out, "--model", weights)
    process = start(*arguments, folder=tmp_path)
    while not list(out.glob("*.png")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(ending)
    _, said = process.communicate()
    assert process.returncode == (-signal.SIGKILL if ending == signal.SIGKILL else 130), said
    there = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 0 < len(there) < COUNT
    again = start(*arguments, folder=tmp_path)
    output, said = again.communicate()
    assert again.returncode == 0, said
    assert f"{len(there)} of before kept" in output
    assert sorted(path.name for path in out.iterdir()) == [f"{number:02}.png" for number in range(COUNT)]
    assert {name: (out / name).stat().st_mtime_ns for name in there} == there
    network = load_weights(weights)
    for number in (0, COUNT - 1):
        expected = restore_image(network, read_rgb(photos / f"{number:02}.png"))
        assert np.array_equal(read_rgb(out / f"{number:02}.png"), expected)


@pytest.mark.parametrize(("ending", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_demo_ends_when_it_is_told_to(tmp_path: Path, weights: Path, ending: signal.Signals, status: int) -> None:
    process = start("demo", "--port", 0, "--model", weights, folder=tmp_path)
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    with urllib.request.urlopen(f"{address}/choices") as answer:
        assert b"the given weights" in answer.read()
    process.send_signal(ending)
    _, said = process.communicate()
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
