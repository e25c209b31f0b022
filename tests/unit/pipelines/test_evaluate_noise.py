"""The noise command: a table for people, metrics and per-photograph scores for the run."""

import json
from pathlib import Path

import pytest

from gkm.data.dataset.dataset import open_dataset
from gkm.tracking import open_tracking
from pipelines.evaluate_noise import main


@pytest.mark.slow
def test_scores_are_printed_and_kept_with_the_run(invoke, workspace: Path, tmp_path: Path) -> None:
    result = invoke(main, "--sigma", "0", "--sigma", "3", "--seed", "5")
    assert result.exit_code == 0, result.stderr
    assert "gkmnet version 1 (challenger) on 2 test photographs, seed 5" in result.stdout

    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    (run,) = tracking.find({"gkm.kind": "trial"})
    metrics = run.data.metrics
    data = open_dataset(workspace / "data" / "sample").fingerprint
    silent, noisy = f"test/{data}/gkm/noise_0", f"test/{data}/gkm/noise_3/seed_5"
    scores = [f"{b}{m}" for b in ("", "blurred_") for m in ("psnr", "ssim", "lpips")]
    assert sorted(metrics) == sorted(f"{prefix}/{key}" for prefix in (silent, noisy) for key in [*scores, "seconds"])
    assert metrics[f"{noisy}/blurred_psnr"] < metrics[f"{silent}/blurred_psnr"]
    assert f"{metrics[f'{noisy}/psnr']:.2f}" in result.stdout

    name = result.stdout.rpartition("per photograph: ")[2].split()[0]
    kept = json.loads(tracking.download(run.info.run_id, name, tmp_path / "kept").read_text())
    assert [level["sigma_8bit"] for level in kept["levels"]] == [0, 3]
    first = kept["levels"][1]["blurred"]
    assert [score["scene"] for score in first] == ["test-0", "test-1"]
    assert sum(score["psnr"] for score in first) / 2 == pytest.approx(metrics[f"{noisy}/blurred_psnr"])


def test_weights_from_a_directory_are_measured_but_not_logged(invoke, workspace: Path, weights: Path) -> None:
    result = invoke(main, "--model", weights, "--sigma", "1")
    assert result.exit_code == 0, result.stderr
    assert "per photograph" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sigma", "nan"], "--sigma nan"),
        (["--sigma", "-1"], "--sigma -1"),
        (["--model", "9"], "9: is no version"),
        (["--data", "/nowhere"], "/nowhere"),
    ],
)
def test_bad_input_is_one_sentence(invoke, arguments: list[str], sentence: str) -> None:
    result = invoke(main, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""
