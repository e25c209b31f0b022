"""Single trials through the command line: in one process, on Ray Train workers, on real photographs, and refused."""

import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gkm.tracking import Tracking, open_tracking

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


def _uri(workspace: Path) -> str:
    return f"sqlite:///{workspace}/mlflow.db"


def _run_id(output: str) -> str:
    found = re.search(r"run (\w{32}): \d+ validated epochs", output)
    assert found, output
    return found[1]


def _steps(workspace: Path, run_id: str) -> list[int]:
    """The epochs of a run as the store has them, doubled ones and all."""
    points = open_tracking(workspace, _uri(workspace)).client.get_metric_history(run_id, "val/psnr")
    return sorted(point.step for point in points)


def _losses(output: str, name: str) -> tuple[float, float]:
    found = re.search(rf"{name} loss ([\d.]+) -> ([\d.]+)", output)
    assert found, output
    return float(found[1]), float(found[2])


@pytest.mark.slow
@pytest.mark.ray
def test_two_ray_workers_train_one_network_and_its_loss_falls(tmp_path: Path, tiny_data: Path) -> None:
    arguments = ("--data", tiny_data, "--workspace", tmp_path, *_settings())
    done = _run("train.py", *arguments, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "training 3 epochs on 2 Ray workers" in done.stderr
    first, last = _losses(done.stdout, "training")
    assert last < first
    alone = _run("train.py", "--data", tiny_data, "--workspace", tmp_path / "alone", *_settings())
    for name in ("training", "validation"):
        assert _losses(done.stdout, name) == pytest.approx(_losses(alone.stdout, name), abs=1e-4)
    run_id = _run_id(done.stdout)
    assert _steps(tmp_path, run_id) == [1, 2, 3]
    weights = open_tracking(tmp_path, _uri(tmp_path)).download(run_id, "weights", tmp_path / "weights")
    assert sorted(path.name for path in weights.iterdir()) == ["model.json", "model.safetensors"]
    again = _run("train.py", *arguments)
    assert again.returncode == 0
    assert f"run {run_id} has been trained already" in again.stdout, "the number of workers is no setting"


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


@pytest.mark.slow
def test_a_finished_trial_is_found_finished_without_starting_ray(tmp_path: Path, tiny_data: Path) -> None:
    arguments = ("--data", tiny_data, "--workspace", tmp_path, *_settings(), "--profile")
    first = _run("train.py", *arguments)
    assert first.returncode == 0, first.stderr
    _is_profiled(open_tracking(tmp_path, _uri(tmp_path)), _run_id(first.stdout), first.stdout)
    began, *epochs = first.stderr.splitlines()
    assert began == "training 3 epochs in this process"
    assert re.match(r"epoch 3 of 3: loss [\d.]+, validation [\d.]+ dB, [\d.e+]+ crops/s, \d+ % of the time", epochs[-1])
    second = _run("train.py", *arguments, "--workers", 2, "--ray", "127.0.0.1:1")
    assert second.returncode == 0, second.stderr
    said, *figures = second.stdout.splitlines()
    run = _run_id(first.stdout)
    assert re.fullmatch(rf"run {run} has been trained already \([\d.]+ dB\); repeat it with --from-run {run}", said)
    assert figures == first.stdout.splitlines()
    assert re.search(r"the blurred photographs have [\d.]+ dB: a gain of [+-][\d.]+ dB", first.stdout)
    for _ in range(2):
        registered = _run("train.py", *arguments, "--register")
        assert "registered: gkmnet version 1, alias challenger" in registered.stdout, registered.stderr
    _is_described(open_tracking(tmp_path, _uri(tmp_path)), run, first.stdout)


def _is_profiled(tracking: Tracking, run: str, said: str) -> None:
    """The summary is printed, and with the trace among the artifacts of the run."""
    found = re.search(r"^profile of [1-3] steps? on .*(?:\n  .+)+$", said, re.MULTILINE)
    assert found, said
    with tempfile.TemporaryDirectory() as folder:
        kept = tracking.download(run, "profile", Path(folder))
        assert (kept / "summary.txt").read_text() == found[0]
        assert b"traceEvents" in gzip.decompress((kept / "trace.json.gz").read_bytes())


def _is_described(tracking: Tracking, run_id: str, said: str) -> None:
    """The pages of the run and of its version say what was gained, on which data."""
    run = tracking.client.get_run(run_id)
    gain = re.search(r"a gain of ([+-][\d.]+ dB)", said)
    assert gain is not None
    assert run.info.run_name == "gkmnet on synthetic, 3 epochs, seed 0"
    assert f", {gain[1]} over the blurred input (" in run.data.tags["mlflow.note.content"]
    assert "Finished after 3 epochs." in run.data.tags["mlflow.note.content"]
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["synthetic train", "synthetic validation"]
    card = tracking.client.get_model_version("gkmnet", "1").description
    assert "\n\nTrained by itself: " in card
    assert "Means over 2 validation photographs" in card
    blurred = run.data.metrics["val/blurred_psnr"]
    assert f" | {blurred:.2f} |" in card


@pytest.mark.slow
def test_a_run_is_repeated_as_a_new_run_with_the_same_result(tmp_path: Path, tiny_data: Path) -> None:
    first = _run("train.py", "--data", tiny_data, "--workspace", tmp_path, *_settings())
    original = _run_id(first.stdout)
    for times in (2, 3):
        again = _run("train.py", "--workspace", tmp_path, "--from-run", original[:6])
        assert again.returncode == 0, again.stderr
        record = open_tracking(tmp_path, _uri(tmp_path)).trial(_run_id(again.stdout))
        assert record.run_id != original
        assert record.trial_id.endswith(f"-repeat-{times}")
        assert record.tags["gkm.repeats"] == original
        assert record.tags["gkm.data_location"] == str(tiny_data)
        assert f"run {original}, which this one repeats, reached" in again.stdout
        assert "a difference of +0.0000 dB" in again.stdout
    for arguments, sentence in (
        (["--from-run", "0" * 32], "there is no trial with that run id"),
        (["--from-run", "xyz"], "is no run id"),
        (["--from-run", original, "--set", "model.width=4"], "takes all settings from that run"),
        (["--from-run", original, "--data", "nowhere"], "nowhere"),
        ([], "give a prepared data set with --data"),
    ):
        refused = _run("train.py", "--workspace", tmp_path, *arguments)
        assert refused.returncode == 2
        assert sentence in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "model.max_kernel_size=20"], "model.max_kernel_size: a kernel has a centre pixel, so M must be odd"),
        (["--set", "model.num_kernels=0"], "model.num_kernels = 0"),
        (["--set", "model.num_scales=6", "--set", "data.crop_pixels=64"], "or a network with fewer scales"),
        (["--set", "model.wdth=8"], "did you mean model.width?"),
        (["--config", "none.json"], "none.json: cannot be read"),
        (["--data", "nowhere"], "nowhere"),
        (["--set", "data.crop_pixels=96"], "has 72 pixels a side, fewer than data.crop_pixels = 96"),
        (["--tracking-uri", "http://127.0.0.1:9", "--set", "data.crop_pixels=32"], "no MLflow server answers there"),
        (["--set", "data.batch_size=3", "--workers", "2"], "cannot be divided among 2 workers"),
        (["--workers", "2:4"], "cannot be divided among 3 workers; for a group of 2 to 4 workers use a multiple of 12"),
        (["--workers", "4:2"], "--workers 4:2: give a number from 1 on, such as 4, or a range, such as 2:4"),
        (["--init", "nowhere"], "--init nowhere: is no folder of weights, and no registered model"),
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
