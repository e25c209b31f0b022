"""Single trials that are stopped, killed or started twice: the same command goes on, no epoch is lost or doubled."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from gkm.tracking import TrialRecord, open_tracking

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 16
SETTINGS = {
    "model.width": 2,
    "model.max_kernel_size": 5,
    "model.num_kernels": 3,
    "model.num_scales": 2,
    "data.crop_pixels": 32,
    "data.batch_size": 4,
    "data.crops_per_photo": 16,
    "loss.schedule": "l2",
    "training.epochs": EPOCHS,
}


class Training:
    """Trainings of one trial, one after the other or at once."""

    def __init__(self, workspace: Path, data: Path) -> None:
        self.workspace, self.data = workspace, data
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, ROOT / "pipelines" / "train.py", "--data", self.data, "--workspace", self.workspace]
        process = subprocess.Popen(
            [str(part) for part in (*command, *settings, *arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind, whatever a test found."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def wait_for_epoch(self, epoch: int, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 240  # on a busy machine an epoch takes long
        while time.monotonic() < deadline and process.poll() is None:
            kept = [int(path.name[6:13]) for path in self.workspace.glob("trials/*/checkpoints/epoch-*")]
            if max(kept, default=0) >= epoch:
                return
            time.sleep(0.05)
        pytest.fail(f"epoch {epoch} was not reached: {process.communicate()}")

    def record(self) -> TrialRecord:
        tracking = open_tracking(self.workspace, f"sqlite:///{self.workspace}/mlflow.db")
        (run,) = tracking.find({"gkm.kind": "trial"})
        return tracking.trial(run.info.run_id)

    def mlflow_status(self) -> str:
        tracking = open_tracking(self.workspace, f"sqlite:///{self.workspace}/mlflow.db")
        return str(tracking.client.get_run(self.record().run_id).info.status)

    def finish(self, *arguments: object) -> str:
        """Train to the end; what it says on standard output, after a look at what was recorded."""
        process = self.start(*arguments)
        out, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        tracking, record = open_tracking(self.workspace, f"sqlite:///{self.workspace}/mlflow.db"), self.record()
        for name in ("val/psnr", "train/loss", "best/val/psnr"):
            points = tracking.client.get_metric_history(record.run_id, name)
            assert sorted(point.step for point in points) == list(range(1, EPOCHS + 1))
        assert record.status == "finished"
        assert self.mlflow_status() == "FINISHED"
        assert len(list(self.workspace.glob("artifacts/*/artifacts/weights/model.safetensors"))) == 1
        return out


@pytest.fixture
def training(tmp_path: Path, tiny_data: Path) -> Iterator[Training]:
    trainings = Training(tmp_path, tiny_data)
    yield trainings
    trainings.end()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_trial_is_marked_and_goes_on(training: Training, number: signal.Signals, status: int) -> None:
    process = training.start()
    training.wait_for_epoch(2, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == status
    assert "stopped by" in errors
    assert "Traceback" not in errors
    assert training.record().status == "interrupted"
    assert training.mlflow_status() == "KILLED"
    training.finish()


def test_a_trial_killed_twice_goes_on(training: Training) -> None:
    for epoch in (2, 6):
        process = training.start()
        training.wait_for_epoch(epoch, process)
        process.kill()
        process.communicate()
    training.finish()
    assert not list(training.workspace.rglob(".unfinished-*"))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """A database that nobody can use, be it by this process or by another one."""
    with closing(sqlite3.connect(database, timeout=1, isolation_level=None)) as connection:
        with suppress(sqlite3.OperationalError):  # another process has locked it already
            connection.execute("BEGIN EXCLUSIVE")
        yield


def test_a_second_process_is_refused_and_disturbs_nothing(training: Training) -> None:
    process = training.start()
    training.wait_for_epoch(1, process)
    process.send_signal(signal.SIGSTOP)  # or it might be done before the second one has started
    with locked(training.workspace / "mlflow.db"):  # as it is where the first one was stopped while it wrote
        second = training.start()
        _, errors = second.communicate(timeout=200)
    assert second.returncode == 2
    assert re.search(rf"is being trained by process {process.pid} on .* since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", errors)
    process.kill()
    process.communicate()
    training.finish()


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_that_are_stopped_go_on_alone(training: Training, number: signal.Signals) -> None:
    process = training.start("--workers", "1:2")
    training.wait_for_epoch(2, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], errors
    assert "Traceback" not in errors
    assert "stack trace" not in errors
    if number == signal.SIGTERM:
        assert list(training.workspace.glob("trials/*/checkpoints/*-batch-*")), "they left within an epoch"
    training.finish()
