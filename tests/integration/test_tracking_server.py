"""The same calls against a real `mlflow server`, as a team would run one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import ModelConfig, TrialConfig
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import load, promote, register
from gkm.registry.gates import Gates, Weights
from gkm.registry.versions import aliases
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import save_weights

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def serve(folder: Path, store: str) -> Iterator[str]:
    """An MLflow server with one worker on a free port; stopped with all it started."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--artifacts-destination", str(folder / "served"),
    ]  # fmt: skip
    # Without it the server starts eight processes more, for evaluating language models.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        else:
            pytest.fail(f"the MLflow server did not start: {(folder / 'server.log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study made without a server, in the database the server is then started on."""
    workspace = tmp_path_factory.mktemp("runs")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    study = tracking.start_study("before", parameters={}, tags={})
    run = tracking.start_trial("t", study_run_id=study.run_id, number=0, config=TrialConfig(), searched={}, tags={})
    run.log_image("validation.png", np.zeros((8, 9, 3), np.uint8))
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[str]:
    yield from serve(workspace, f"sqlite:///{workspace}/mlflow.db")


@pytest.fixture(scope="module")
def tracking(server: str, workspace: Path) -> Tracking:
    opened = open_tracking(workspace, server)
    return Tracking(opened.uri, opened.artifacts, experiment="team")


def test_a_study_restarted_over_http_goes_on_in_its_runs(tracking: Tracking, tmp_path: Path) -> None:
    for _ in range(2):
        study = tracking.start_study("s", parameters={"trials": 2}, tags={})
        run = tracking.start_trial(
            "a", study_run_id=study.run_id, number=0, config=TrialConfig(), searched={"model.width": 32}, tags={}
        )
        for epoch in (1, 2):
            run.log_epoch(epoch, {"val/psnr": 20.0 + epoch})
        run.log_image("validation.png", np.full((8, 9, 3), 7, np.uint8))
    run.finish("finished")
    (record,) = tracking.trials(study.run_id)
    assert record.history == [{"epoch": 1.0, "val/psnr": 21.0}, {"epoch": 2.0, "val/psnr": 22.0}]
    assert record.config == TrialConfig()
    assert tracking.download(run.run_id, "validation.png", tmp_path).read_bytes()[1:4] == b"PNG"
    assert tracking.ui_hint == tracking.uri


def test_models_are_registered_loaded_and_promoted_over_http(
    tracking: Tracking, tiny_data: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = save_weights(GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2)), tmp_path / "w")
    run = tracking.start_trial("m", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    assert register(tracking, run.run_id, weights) == 1
    assert register(tracking, run.run_id, weights) == 1
    loaded = load(tracking)
    assert (loaded.version, loaded.aliases, loaded.run_id) == (1, ("challenger",), run.run_id)
    shutil.rmtree(weights)
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    known = tracking.client.get_model_version("gkmnet", "1")
    (model,) = tracking.client.search_logged_models([tracking.experiment_id], f"source_run_id = '{run.run_id}'")
    assert (str(model.status), model.model_id) == ("READY", known.tags["gkm.logged_model"])
    tracking.client.create_model_version("gkmnet", known.source, run.run_id, model_id=model.model_id)
    tracking.client.set_registered_model_alias("gkmnet", "challenger", "2")
    gates = Gates(weights=Weights(hash=True, clean_process=True))
    result = promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"), gates=gates)
    assert [gate.name for gate in result.failed] == ["PSNR on data"]
    assert "version 1 (champion)" in result.reason
    assert aliases(tracking) == {"challenger": 2, "champion": 1}


def test_the_server_shows_a_study_made_without_it(server: str, workspace: Path) -> None:
    """What `mlflow ui` on the workspace's store gives: the parent, its child, and the child's picture."""
    seen = Tracking(server, None)
    study = seen.find_study("before")
    assert study is not None
    (trial,) = seen.trials(study)
    assert trial.tags["mlflow.parentRunId"] == study
    url = f"{server}/get-artifact?path=validation.png&run_uuid={trial.run_id}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read(4)[1:] == b"PNG"


def test_importing_and_opening_the_server_is_all_a_trial_needs(server: str, tmp_path: Path) -> None:
    """A fresh process with nothing but the pickled tracking writes to its run."""
    code = (
        "import json, sys; from gkm.tracking import Tracking; from gkm.config import TrialConfig\n"
        f"t = Tracking({server!r}, None, experiment='team')\n"
        "r = t.start_trial('p', study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})\n"
        "r.log_epoch(1, {'val/psnr': 1.0}); r.finish('finished'); print(json.dumps(t.trial(r.run_id).history))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout) == [{"epoch": 1.0, "val/psnr": 1.0}]
    assert list(tmp_path.iterdir()) == []
