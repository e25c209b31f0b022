"""A study whose driver is killed goes on where it was, and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gkm.study.record.record import open_record
from gkm.study.record.record_place import RecordPlace
from gkm.study.record.results import StudyResults
from gkm.tracking import open_tracking

pytestmark = [pytest.mark.ray, pytest.mark.slow]

DRIVER = """
import sys
from pathlib import Path
from gkm.config import *
from gkm.study.execution.opening import Study
from gkm.study.record.record_place import RecordPlace
from gkm.study.execution.run import run_study
from gkm.study.execution.session import start_ray
from gkm.study.design.space import Choice, SearchSpace
from gkm.tracking import open_tracking

workspace, data = Path(sys.argv[1]), sys.argv[2]
space = SearchSpace(
    {"optim.learning_rate": Choice(1e-2, 1e-9, 1e-3), "model.num_kernels": Choice(1, 3, 5)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=4),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=9),
    ),
    trials=4, first_rung_epochs=1, reduction_factor=3, confirm=0,
)
study = Study(
    "killed",
    space,
    data,
    str(workspace / "studies"),
    open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db"),
    RecordPlace(str(workspace / "studies")),
    str(workspace / "cache"),
    seed=1,
)
run_study(study, lambda: start_ray("local", 1))
"""


def _start(workspace: Path, data: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(workspace), str(data)], env=environment, stdout=subprocess.DEVNULL
    )


def _results(workspace: Path) -> StudyResults:
    record = open_record(RecordPlace(str(workspace / "studies")), "killed")
    assert record is not None
    return record.results()


def _kill_after(workspace: Path, data: Path, epochs: int) -> None:
    """Start the study and kill its driver with -9 once its trials have kept so many epochs."""
    process = _start(workspace, data)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        newest: dict[str, int] = {}
        for path in workspace.glob("studies/killed/trials/*/checkpoints/epoch-*"):
            trial = path.parts[-3]
            newest[trial] = max(newest.get(trial, 0), int(path.name[6:]))
        if sum(newest.values()) >= epochs:
            break
        time.sleep(0.1)
    assert process.poll() is None, "the study ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(900)
def test_a_study_killed_twice_ends_like_an_undisturbed_one(tmp_path: Path, tiny_data: Path) -> None:
    (tmp_path / "a").mkdir()
    assert _start(tmp_path / "a", tiny_data).wait(timeout=200) == 0
    undisturbed = _results(tmp_path / "a")

    (tmp_path / "b").mkdir()
    for epochs in (3, 11):
        _kill_after(tmp_path / "b", tiny_data, epochs)
    assert _start(tmp_path / "b", tiny_data).wait(timeout=200) == 0
    resumed = _results(tmp_path / "b")

    assert [trial.number for trial in resumed.trials] == [0, 1, 2, 3]
    for ours, theirs in zip(resumed.trials, undisturbed.trials, strict=True):
        assert (ours.number, ours.status, ours.parameters) == (theirs.number, theirs.status, theirs.parameters)
        assert [metrics["epoch"] for metrics in ours.history] == list(range(1, ours.epochs + 1))
        assert [metrics["val/psnr"] for metrics in ours.history] == [metrics["val/psnr"] for metrics in theirs.history]
    assert resumed.ranked[0].number == undisturbed.ranked[0].number

    tracking = open_tracking(tmp_path / "b", f"sqlite:///{tmp_path / 'b'}/mlflow.db")
    for trial in resumed.trials:
        assert trial.run_id is not None
        points = tracking.client.get_metric_history(trial.run_id, "val/psnr")
        assert sorted(point.step for point in points) == list(range(1, trial.epochs + 1))
