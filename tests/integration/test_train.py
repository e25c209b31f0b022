"""Single trials through the command line: in one process, on Ray Train workers, on real photographs, and refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "model.width": 2,
    "model.max_kernel_size": 5,
    "model.num_kernels": 3,
    "model.num_scales": 2,
    "data.crop_pixels": 32,
    "data.batch_size": 4,
    "data.crops_per_photo": 8,
    "loss.schedule": "l2",
    "optim.learning_rate": 0.003,
    "training.epochs": 3,
}


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, str(ROOT / "pipelines" / script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


def _settings(**changes: object) -> list[str]:
    values = {**SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


def _losses(output: str, name: str) -> tuple[float, float]:
    found = re.search(rf"{name} loss ([\d.]+) -> ([\d.]+)", output)
    assert found, output
    return float(found[1]), float(found[2])


@pytest.mark.slow
@pytest.mark.ray
def test_two_ray_workers_train_one_network_and_its_loss_falls(tmp_path: Path, tiny_data: Path) -> None:
    arguments = ("--data", tiny_data, "--workspace", tmp_path, "--workers", 2, *_settings())
    done = _run("train.py", *arguments)
    assert done.returncode == 0, done.stderr
    first, last = _losses(done.stdout, "training")
    assert last < first
    again = _run("train.py", *arguments)
    assert again.returncode == 0
    run = re.compile(r"run (\w{32}): 3 validated epochs")
    assert run.search(again.stdout)[1] == run.search(done.stdout)[1]  # type: ignore[index]


@pytest.mark.slow
def test_real_defocus_pairs_lower_the_validation_loss(tmp_path: Path, shared_data: Path) -> None:
    prepared = _run("prepare_data.py", "--source", shared_data / "dpd_sample", "--out", tmp_path / "data")
    assert prepared.returncode == 0, prepared.stderr
    assert "6 train, 2 validation, 2 test" in prepared.stdout
    settings = _settings(model__width=4, data__crop_pixels=64, data__crops_per_photo=16, training__epochs=4)
    done = _run("train.py", "--data", tmp_path / "data", "--workspace", tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    first, best = _losses(done.stdout, "validation")
    assert best < first


def test_a_finished_trial_is_found_finished(tmp_path: Path, tiny_data: Path) -> None:
    arguments = ("--data", tiny_data, "--workspace", tmp_path, *_settings())
    first, second = _run("train.py", *arguments), _run("train.py", *arguments)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "model.max_kernel_size=20"], "model.max_kernel_size: a kernel has a centre pixel, so M must be odd"),
        (["--set", "model.num_kernels=0"], "model.num_kernels = 0"),
        (["--set", "model.num_scales=6", "--set", "data.crop_pixels=64"], "use fewer scales or larger crops"),
        (["--set", "model.wdth=8"], "did you mean model.width?"),
        (["--config", "none.json"], "none.json: cannot be read"),
        (["--data", "nowhere"], "nowhere"),
        (["--set", "data.batch_size=3", "--workers", "2"], "cannot be divided among 2 workers"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    tmp_path: Path, tiny_data: Path, arguments: list[str], sentence: str
) -> None:
    done = _run("train.py", "--data", tiny_data, "--workspace", tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_the_settings_and_leaves_nothing(tmp_path: Path, tiny_data: Path) -> None:
    done = _run("train.py", "--data", tiny_data, "--workspace", tmp_path, "--dry-run", *_settings())
    assert json.loads(done.stdout)["model"]["width"] == 2
    assert not list(tmp_path.iterdir())
