"""Faults of a real `gkm train`: stopped within an epoch, killed while it writes, damaged, a full disk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from gkm.tracking import TrialRecord, open_tracking
from gkm.training.store import newest_checkpoint, read_notes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3
SETTINGS: Mapping[str, object] = {
    "model.width": 2,
    "model.max_kernel_size": 5,
    "model.num_kernels": 3,
    "model.num_scales": 2,
    "data.crop_pixels": 32,
    "data.batch_size": 2,
    "data.crops_per_photo": 64,
    "loss.schedule": "l2",
    "training.epochs": EPOCHS,
    "training.ema": 0.99,
}
MOST_SECONDS = 1500
PASSING = ("seconds", "time", "system/")


class Training:
    """`gkm train` with the same settings, again and again."""

    def __init__(self, workspace: Path, data: Path) -> None:
        self.workspace, self.data = workspace, data

    def start(self, minutes: float = 5.0) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        values = {**SETTINGS, "training.checkpoint_minutes": minutes}
        settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, ROOT / "pipelines" / "train.py", "--data", self.data, "--workspace", self.workspace]
        return subprocess.Popen(
            [str(part) for part in (*command, *settings)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> str:
        process = self.start()
        _, errors = process.communicate(timeout=MOST_SECONDS)
        assert process.returncode == 0, errors
        return errors

    @property
    def place(self) -> Path:
        (place,) = self.workspace.glob("trials/trial-*")
        return place

    def wait(self, process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if reached():
                return
            time.sleep(0.01)
        pytest.fail(f"it did not come to that: {process.communicate()}")

    def record(self) -> TrialRecord:
        """Of the one run that there is."""
        tracking = open_tracking(self.workspace, f"sqlite:///{self.workspace}/mlflow.db")
        (run,) = tracking.find({"gkm.kind": "trial"})
        points = tracking.client.get_metric_history(run.info.run_id, "val/psnr")
        if run.data.tags["gkm.status"] == "finished":
            assert sorted(point.step for point in points) == list(range(1, EPOCHS + 1))
        return tracking.trial(run.info.run_id)

    def lasting(self) -> list[dict[str, float]]:
        """What another run of the same repeats to the bit."""
        record = self.record()
        assert record.status == "finished"
        return [{k: v for k, v in metrics.items() if not k.startswith(PASSING)} for metrics in record.history]

    def weights(self) -> bytes:
        """The best ones: the newest of those that were the best."""
        return max(self.place.glob("best/*/model.safetensors")).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Training:
    training = Training(tmp_path_factory.mktemp("undisturbed"), tiny_data)
    training.finish()
    return training


@pytest.fixture
def training(tmp_path: Path, tiny_data: Path) -> Training:
    return Training(tmp_path, tiny_data)


def _fill(file: Path) -> None:
    """Write to `file` until its disk is full."""
    with file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


def _begun(training: Training) -> bool:
    """Whether an epoch is kept, so that another one is under way."""
    return any(training.workspace.glob("trials/*/checkpoints/epoch-000000[1-9]/SHA256SUMS"))


def _assert_same(training: Training, undisturbed: Training) -> None:
    assert training.lasting() == undisturbed.lasting()
    assert training.weights() == undisturbed.weights()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_within_an_epoch_it_goes_on_at_the_next_step(
    training: Training, undisturbed: Training, number: signal.Signals, status: int
) -> None:
    process = training.start()
    training.wait(process, lambda: _begun(training))  # the first epoch is kept, the second under way
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == status, errors
    assert "leaving after this step, with a checkpoint" in errors
    assert "Traceback" not in errors
    at = newest_checkpoint(str(training.place))
    assert at is not None
    assert at[1] > 0, "within an epoch"
    assert training.record().status == "interrupted"
    training.finish()
    _assert_same(training, undisturbed)


def test_killed_while_a_checkpoint_is_written_it_goes_on_from_the_one_before(
    training: Training, undisturbed: Training
) -> None:
    process = training.start(minutes=1e-9)  # one after every step
    training.wait(process, lambda: _begun(training) and any(training.place.glob(".unfinished-*/new/*")))
    process.kill()
    process.communicate()
    assert newest_checkpoint(str(training.place)) is not None
    training.finish()
    _assert_same(training, undisturbed)
    assert not list(training.workspace.rglob(".unfinished-*"))


def test_a_truncated_checkpoint_is_passed_over_said_and_noted(training: Training, undisturbed: Training) -> None:
    process = training.start()
    training.wait(process, lambda: _begun(training))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=MOST_SECONDS)
    at = newest_checkpoint(str(training.place))
    assert at is not None
    newest = training.place / "checkpoints" / f"epoch-{at[0]:07d}-batch-{at[1]:07d}"
    weights = newest / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    errors = training.finish()
    note = f"checkpoint of epoch {at[0] + 1}, batch {at[1]} is damaged; training goes on from epoch {at[0]}"
    assert note in errors
    assert read_notes(str(training.place)) == [note]
    assert training.record().tags["gkm.notes"] == note
    _assert_same(training, undisturbed)


@pytest.fixture
def small_disk(training: Training) -> Iterator[Path]:
    """Trials lie on a disk of their own, of two megabytes."""
    folder = training.workspace / "trials"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount no file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_ends_it_with_a_sentence_and_loses_nothing(
    training: Training, undisturbed: Training, small_disk: Path
) -> None:
    process = training.start()
    training.wait(process, lambda: _begun(training))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=MOST_SECONDS)
    before = newest_checkpoint(str(training.place))
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        _fill(ballast)
    full = training.start()
    _, errors = full.communicate(timeout=MOST_SECONDS)
    assert full.returncode == 2, errors
    assert "make room" in errors
    assert newest_checkpoint(str(training.place)) == before
    ballast.unlink()
    training.finish()
    _assert_same(training, undisturbed)
