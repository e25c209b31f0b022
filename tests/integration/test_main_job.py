"""The main job by command: a study, a challenger and its report; then promotion, noise and deblurring."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gkm.registry import load
from gkm.tracking import open_tracking

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
from gkm.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, SearchSpace

SPACE = SearchSpace(
    {"model.gcm": Choice("fixed", "learned_gaussian"), "optim.learning_rate": Choice(1e-2, 1e-4)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=4),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=3),
    ),
    baseline={"model.gcm": "learned_gaussian", "optim.learning_rate": 1e-2},
    trials=3, first_rung_epochs=1, reduction_factor=2, confirm=1,
)
"""


class Job:
    """Commands on one workspace."""

    def __init__(self, workspace: Path, data: Path) -> None:
        self.workspace, self.data = workspace, data
        self.space = workspace / "tiny.py"
        self.space.write_text(SPACE)

    def run(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
            environment.pop(name, None)
        workspace = ("--workspace", self.workspace)
        command = [sys.executable, ROOT / "pipelines" / script, *arguments, *workspace]
        return subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    def sweep(self, *more: object) -> subprocess.CompletedProcess[str]:
        return self.run("sweep.py", "--space", self.space, "--data", self.data, "--study", "tiny", *more)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Job:
    return Job(tmp_path_factory.mktemp("workspace"), tiny_data)


@pytest.fixture(scope="module")
def done(job: Job) -> subprocess.CompletedProcess[str]:
    planned = job.sweep("--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "plan: 3 trials of at most 3 epochs" in planned.stdout
    assert not (job.workspace / "mlflow.db").exists()
    return job.sweep("--noise", "5")


def test_the_job_ends_in_a_challenger_and_a_page_and_says_where(
    job: Job, done: subprocess.CompletedProcess[str]
) -> None:
    assert done.returncode == 0, done.stderr
    assert re.search(r"study tiny: 3 trials .* best is trial \d, [\d.]+ dB", done.stdout)
    assert "registered: gkmnet version 1, alias challenger" in done.stdout
    assert re.search(r"2 test photographs: [\d.]+ dB, [+-][\d.]+ dB over the blurred input", done.stdout)
    page = Path(re.search(r"report: (\S+)", done.stdout)[1])  # type: ignore[index]
    assert "learned_gaussian" in page.read_text(encoding="utf-8")
    assert re.search(r"with noise of 5 grey levels: [\d.]+ dB, [+-][\d.]+ dB over the blurred input", done.stdout)
    assert "σ = 5" in page.read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_finished_job_run_again_trains_and_registers_nothing(
    job: Job, done: subprocess.CompletedProcess[str]
) -> None:
    def kept() -> dict[Path, int]:
        """Checkpoints, record and page, and when each was written."""
        return {path: path.stat().st_mtime_ns for path in (job.workspace / "studies").rglob("*") if path.is_file()}

    before = kept()
    assert job.workspace / "studies" / "tiny" / "report.html" in before
    again = job.sweep("--noise", "5")
    assert again.returncode == 0, again.stderr
    assert kept() == before
    assert "starting Ray" in done.stdout
    assert "starting Ray" not in again.stdout + again.stderr
    assert "registered: gkmnet version 1" in again.stdout
    assert [line for line in again.stdout.splitlines() if line.startswith("study")] == [
        line for line in done.stdout.splitlines() if line.startswith("study")
    ]


@pytest.mark.slow
def test_noise_is_measured_and_appears_in_the_report(job: Job, done: subprocess.CompletedProcess[str]) -> None:
    measured = job.run("evaluate_noise.py", "--data", job.data)
    assert measured.returncode == 0, measured.stderr
    page = job.workspace / "with_noise.html"
    reported = job.run("report.py", "--study", "tiny", "--data", job.data, "--out", page)
    assert reported.returncode == 0, reported.stderr
    assert "σ = 3" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_challenger_is_promoted_on_test_evidence_or_refused_with_figures(
    job: Job, done: subprocess.CompletedProcess[str]
) -> None:
    first = job.run("promote.py", "--data", job.data)
    figures = re.search(r"([\d.]+) dB on 2 test photographs", first.stdout + first.stderr)
    assert figures, first.stderr
    if first.returncode == 0:
        second = job.run("promote.py", "--data", job.data)
        assert second.returncode == 2
        assert "is the champion already" in second.stderr
    else:
        assert first.returncode == 2


def test_the_registered_model_deblurs_a_photograph_of_another_size(
    job: Job, done: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "mine.png")
    deblurred = job.run("deblur.py", tmp_path / "mine.png", "--out", tmp_path / "out")
    assert deblurred.returncode == 0, deblurred.stderr
    with Image.open(tmp_path / "out" / "mine.png") as image:
        assert image.size == (83, 61)
    assert load(open_tracking(job.workspace), "challenger").version == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nowhere"), "nowhere"),
        (("--space", "none.py"), "none.py: there is no such search space file"),
        (("--seed", "5"), "study tiny: exists with another search seed"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(
    job: Job, done: subprocess.CompletedProcess[str], arguments: tuple[str, str], sentence: str
) -> None:
    refused = job.sweep(*arguments)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
