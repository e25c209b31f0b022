"""A study whose driver is killed goes on where it was, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gkm.study.results import StudyResults, load_study
from gkm.tracking import open_tracking

pytestmark = [pytest.mark.ray, pytest.mark.slow]

DRIVER = """
import sys
from pathlib import Path
from gkm.config import *
from gkm.study.session import start_ray
from gkm.study.space import Choice, SearchSpace
from gkm.study.tuner import Study, run_study
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
    trials=4, first_rung_epochs=1, reduction_factor=3,
)
tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
tracking.prepare()
study = Study("killed", space, data, str(workspace / "studies"), tracking, str(workspace / "cache"), seed=1)
with start_ray("local", 1):
    run_study(study)
"""


def _start(workspace: Path, data: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0", "OMP_NUM_THREADS": "1"}
    environment["TUNE_GLOBAL_CHECKPOINT_S"] = "1"
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(workspace), str(data)], env=environment, stdout=subprocess.DEVNULL
    )


def _results(workspace: Path) -> StudyResults:
    return load_study(open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db"), "killed")


def _kill_after(workspace: Path, data: Path, recorded: int) -> None:
    """Start the study and kill its driver with -9 once its rungs hold `recorded` values."""
    process = _start(workspace, data)
    rungs = workspace / "studies" / "killed" / "rungs.asha"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (
            rungs.exists()
            and sum(len(values) for values in json.loads(rungs.read_text())["rungs"].values()) >= recorded
        ):
            break
        time.sleep(0.2)
    assert process.poll() is None, "the study ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(900)
def test_a_study_killed_twice_ends_like_an_undisturbed_one(tmp_path: Path, tiny_data: Path) -> None:
    (tmp_path / "a").mkdir()
    assert _start(tmp_path / "a", tiny_data).wait(timeout=200) == 0
    undisturbed = _results(tmp_path / "a")

    (tmp_path / "b").mkdir()
    for recorded in (2, 4):
        _kill_after(tmp_path / "b", tiny_data, recorded)
    assert _start(tmp_path / "b", tiny_data).wait(timeout=200) == 0
    resumed = _results(tmp_path / "b")

    assert [trial.number for trial in resumed.trials] == [0, 1, 2, 3]
    assert resumed.best is not None
    assert undisturbed.best is not None
    assert resumed.best.number == undisturbed.best.number
    for ours, theirs in zip(resumed.trials, undisturbed.trials, strict=True):
        assert ours.parameters == theirs.parameters
        assert (ours.number, ours.status) == (theirs.number, theirs.status)
        # Reports are asynchronous: a stop may come an epoch or two late, in either study.
        assert abs(ours.epochs - theirs.epochs) <= 2
        assert [metrics["epoch"] for metrics in ours.history] == list(range(1, ours.epochs + 1))
        for mine, other in zip(ours.history, theirs.history, strict=False):
            assert mine["val/psnr"] == other["val/psnr"]
