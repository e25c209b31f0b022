"""The main job with data, checkpoints, pictures and models in S3, while the server is killed, frozen or refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gkm import storage
from gkm.data.dataset.manifest import read_manifest
from gkm.study.record.record import RecordPlace, load_study
from gkm.study.record.results import StudyResults

pytestmark = [pytest.mark.s3, pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
EPOCHS = 6
TRIAL_EPOCHS = 20
"""Of a single trial: many are left when the server falls silent."""
SPACE = f"""
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, SearchSpace

SPACE = SearchSpace(
    {{"optim.learning_rate": Choice(1e-2, 3e-3)}},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=4),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs={EPOCHS}),
    ),
    baseline={{"optim.learning_rate": 1e-2}},
    trials=2, first_rung_epochs={EPOCHS}, reduction_factor=4, confirm=0,
)
"""
SETTINGS = [
    "model.width=2", "model.max_kernel_size=5", "model.num_kernels=3", "model.num_scales=2", "data.crop_pixels=32",
    "data.batch_size=2", "data.crops_per_photo=4", "loss.schedule=l2", f"training.epochs={TRIAL_EPOCHS}",
]  # fmt: skip
AWAY_SECONDS = 20.0
SILENT_SECONDS = 8.0


class Job:
    """Commands on one workspace, all else in S3."""

    def __init__(self, workspace: Path, place: str, environment: dict[str, str]) -> None:
        self.workspace, self.place = workspace, place
        self._environment = {**os.environ, **environment, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "GKM_STORAGE"):
            self._environment.pop(name, None)
        (workspace / "tiny.py").write_text(SPACE)

    def start(self, script: object, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, ROOT / "pipelines" / str(script), *arguments, "--workspace", self.workspace]
        return subprocess.Popen(
            list(map(str, command)),
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, **environment: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.start(*arguments, **environment)
        out, errors = process.communicate(timeout=280)
        return process.returncode, out, errors

    def sweep(self, data: str) -> list[object]:
        space = self.workspace / "tiny.py"
        return ["sweep.py", "--space", space, "--data", data, "--study", "tiny", "--storage", self.place]

    def train(self, data: str) -> list[object]:
        settings = [part for setting in SETTINGS for part in ("--set", setting)]
        return ["train.py", "--data", data, "--storage", self.place, *settings]

    def results(self) -> StudyResults:
        return load_study(RecordPlace(str(self.workspace / "studies")), "tiny")


@pytest.fixture
def job(server, place: str, tmp_path: Path) -> Job:
    return Job(tmp_path, place, server.environment)


@pytest.fixture
def tiny(place: str, tiny_data: Path) -> str:
    """A tiny data set in S3."""
    location = "s3://photos/tiny"
    if not storage.exists(location):
        storage.upload_folder(tiny_data, location, last="manifest.json")
    return location


def _wait_for(location: str, part: str) -> None:
    """Until a file whose name has `part` in it is there."""
    deadline = time.monotonic() + 240  # on a busy machine an epoch takes long
    while time.monotonic() < deadline:
        if any(part in name for name in storage.list_files(location)):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing like {part} appeared below {location}")


def _served(job: Job) -> str:
    """The shape of a photograph that MLflow's own loader has restored, given nothing but AWS's variables."""
    code = f"""
import mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///{job.workspace}/mlflow.db")
model = mlflow.pyfunc.load_model("models:/gkmnet@challenger")
print(model.predict(np.zeros((32, 40, 3), np.uint8)).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=job.workspace)
    return done.stdout.strip() or done.stderr


def _killed(job: Job, appears: str, where: str, *arguments: object) -> None:
    """A command killed as soon as `appears` is below `where`."""
    process = job.start(*arguments)
    _wait_for(where, appears)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"


def _outlasted(
    job: Job,
    away: Callable[[float], object],
    appears: str,
    where: str,
    *arguments: object,
    seconds: float = AWAY_SECONDS,
) -> str:
    """The output of a command during which, once `appears` is below `where`, the server was away."""
    process = job.start(*arguments)
    _wait_for(where, appears)
    began = time.monotonic()
    away(seconds)
    out, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    assert time.monotonic() - began > seconds
    assert errors.count("does not answer") == errors.count("answers again")
    return out


@pytest.mark.timeout(600)
def test_the_main_job_in_s3_outlasts_killed_servers_and_a_killed_driver(server, job: Job, tmp_path: Path) -> None:
    data, studies = f"{job.place}/data", f"{job.place}/studies/tiny"
    _outlasted(job, server.away, "unfinished/", data, "prepare_data.py", "--source", "sample", "--out", data)
    assert job.run("prepare_data.py", "--source", "sample", "--out", tmp_path / "here")[0] == 0
    assert read_manifest(data).fingerprint == read_manifest(tmp_path / "here").fingerprint

    _killed(job, "epoch-0000001/SHA256SUMS", studies, *job.sweep(data))
    page = f"{job.place}/report.html"
    out = _outlasted(job, server.away, "epoch-0000003/SHA256SUMS", studies, *job.sweep(data), "--report", page)
    assert "2 trials (2 finished, 0 stopped, 0 failed)" in out, [(t.status, t.reason) for t in job.results().trials]
    for trial in job.results().trials:
        assert [metrics["epoch"] for metrics in trial.history] == list(range(1, EPOCHS + 1))
    kept = storage.list_files(job.place)
    for part in ("/weights/model.safetensors", "/images/validation", "/MLmodel"):
        assert any(part in name for name in kept), part
    assert not list(job.workspace.rglob("*.safetensors"))
    assert f"report: {page}\n" in out
    assert storage.read_bytes(page).lower().startswith(b"<!doctype html>")

    Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    status, _, errors = job.run("deblur.py", tmp_path / "photo.png", "--out", tmp_path / "restored")
    assert status == 0, errors
    with Image.open(tmp_path / "restored" / "photo.png") as restored:
        assert restored.size == (48, 40)

    assert _served(job) == "(32, 40, 3)"

    state = [name for name in storage.list_files(studies) if "/checkpoints/" not in name]
    assert all(b"secret-key" not in storage.read_bytes(f"{studies}/{name}") for name in state)


def test_training_outlasts_a_server_that_is_silent_and_resumes(server, job: Job, tiny: str) -> None:
    trials = f"{job.place}/trials"
    _killed(job, "epoch-0000002/SHA256SUMS", trials, *job.train(tiny))
    out = _outlasted(job, server.frozen, "epoch-0000003", trials, *job.train(tiny), seconds=SILENT_SECONDS)
    assert f"{TRIAL_EPOCHS} validated epochs of {TRIAL_EPOCHS}" in out
    epochs = {name.split("/")[2] for name in storage.list_files(trials) if "/checkpoints/" in name}
    assert epochs == {f"epoch-{TRIAL_EPOCHS - 1:07d}", f"epoch-{TRIAL_EPOCHS:07d}"}


def test_two_workers_keep_their_checkpoints_in_s3(job: Job, tiny: str) -> None:
    status, out, errors = job.run(*job.train(tiny), "--workers", "2")
    assert status == 0, errors
    assert f"{TRIAL_EPOCHS} validated epochs of {TRIAL_EPOCHS}" in out
    assert any("optimizer.safetensors" in name for name in storage.list_files(f"{job.place}/trials"))


@pytest.mark.parametrize("what", ["prepare", "sweep", "train"])
def test_wrong_keys_are_one_sentence_and_leave_nothing(job: Job, tiny: str, what: str) -> None:
    arguments = {
        "prepare": ["prepare_data.py", "--out", f"{job.place}/data"],
        "sweep": job.sweep(tiny),
        "train": job.train(tiny),
    }[what]
    status, out, errors = job.run(*arguments, AWS_SECRET_ACCESS_KEY="hidden")
    assert (status, out) == (2, "")
    assert errors.startswith("error: s3://photos/")
    assert errors.endswith("the secret key does not fit the access key; correct AWS_SECRET_ACCESS_KEY\n")
    assert errors.count("\n") == 1
    assert [path.name for path in job.workspace.iterdir()] == ["tiny.py"]
    assert storage.list_files(job.place) == []
