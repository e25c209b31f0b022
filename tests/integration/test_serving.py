"""The command, the served model, the demo and the model in memory give the same pixels of one photograph."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gkm.config import ModelConfig, TrialConfig
from gkm.data.photos import Upload, read_rgb
from gkm.demo.choices import Choices
from gkm.evaluation import restore_image
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import load, register
from gkm.restoration.photograph import read_photograph
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import save_weights
from pipelines.deblur import main
from pipelines.terminal.command import build
from tests.demo_server import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    workspace = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(max_kernel_size=9, num_kernels=5, num_scales=2, width=2))
    torch.nn.init.constant_(model.blocks[0].omega_y, 0.5)
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    register(tracking, run.run_id, save_weights(model, tmp_path_factory.mktemp("weights")))
    return tracking


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG that lies on its side."""
    exif = Image.Exif()
    exif[271], exif[274] = "Pentax", 6
    path = tmp_path_factory.mktemp("in") / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 81, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90, exif=exif.tobytes())
    return path


@pytest.fixture(scope="module")
def served(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `mlflow models serve` with the challenger."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/gkmnet@challenger",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    # MLflow calls uvicorn by its name, which has to be that of this environment.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking.uri, "PATH": search}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    while not _answers(address):
        if process.poll() is not None:
            pytest.fail((folder / "log").read_text()[-3000:])
        time.sleep(0.5)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/ping", timeout=5).close()
    except OSError:
        return False
    return True


def ask(address: str, content: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)["predictions"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["message"]


def test_every_road_gives_the_same_pixels(tracking: Tracking, photograph: Path, served: str, tmp_path: Path) -> None:
    expected = restore_image(load(tracking).model, read_rgb(photograph))
    assert (expected != read_rgb(photograph)).any()
    file = base64.b64encode(photograph.read_bytes()).decode()

    arguments = [str(photograph), "--out", str(tmp_path), "--tracking-uri", tracking.uri]
    result = CliRunner().invoke(build(main), arguments)
    assert result.exit_code == 0, result.output
    by_command = (tmp_path / "photo.png").read_bytes()
    assert np.array_equal(read_rgb(tmp_path / "photo.png"), expected)

    for request in (
        {"inputs": [file]},
        {"dataframe_split": {"columns": ["photograph"], "data": [[file]]}},
        {"dataframe_records": [{"photograph": file}]},
    ):
        status, predictions = ask(served, request)
        assert status == 200, predictions
        (row,) = predictions
        assert base64.b64decode(row["photograph"]) == by_command
    status, predictions = ask(served, {"inputs": read_rgb(photograph).tolist()})
    assert status == 200
    assert np.array_equal(np.array(predictions, np.uint8), expected)

    with serving(Choices(tracking)) as (_, port):
        address = f"http://127.0.0.1:{port}/restorations"
        query = "?model=challenger&name=photo.jpg"
        with urllib.request.urlopen(urllib.request.Request(address + query, photograph.read_bytes())) as answer:
            key = json.load(answer)["key"]
        with urllib.request.urlopen(f"{address}/{key}/file") as answer:
            assert answer.read() == by_command
        with urllib.request.urlopen(f"{address}/{key}/after") as answer:
            assert np.array_equal(read_photograph(Upload("after", answer.read())).rgb_HW3, expected)
    with Image.open(io.BytesIO(by_command)) as image:
        assert (image.size, image.getexif()[271], image.getexif()[274]) == ((60, 81), "Pentax", 1)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"inputs": ["words"]}, "photograph: is not base64; give the photograph's file as base64 text"),
        ({"inputs": [base64.b64encode(b"words").decode()]}, "photograph: is no photograph that can be read"),
        ({"inputs": [[[1, 2, 3]]]}, "at least 16 pixels a side"),
        ({"inputs": [[[0.5] * 3] * 20] * 20}, "give whole numbers from 0 to 255 (uint8)"),
    ],
)
def test_a_bad_request_is_answered_with_a_sentence(served: str, request_: Any, sentence: str) -> None:
    status, message = ask(served, request_)
    assert (status, sentence in message) == (400, True), message
