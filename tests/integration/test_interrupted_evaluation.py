"""An evaluation that was killed goes on where it was: what it had finished stays, and all figures are there."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gkm.config import ModelConfig
from gkm.networks import build
from gkm.training.checkpoint import save_weights

ROOT = Path(__file__).resolve().parents[2]


def _start(workspace: Path, data: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "pipelines/evaluate.py", "--workspace", workspace, "--data", data, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GKM_", "MLFLOW_"))}
    return subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _figures(workspace: Path) -> list[dict[str, str]]:
    """All lines of the table, but for the seconds."""
    with (workspace / "evaluations" / "scores" / "tables.csv").open(encoding="utf-8") as file:
        return [{key: value for key, value in line.items() if "seconds" not in key} for line in csv.DictReader(file)]


@pytest.mark.slow
def test_after_a_kill_the_same_command_goes_on(tiny_data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
    weights = save_weights(network, tmp_path / "weights")
    noise = [word for sigma in range(12) for word in ("--noise", sigma)]
    arguments = ("--model", weights, *noise)
    killed = _start(tmp_path / "killed", tiny_data, *arguments)
    rows = tmp_path / "killed" / "evaluations" / "scores" / "rows"
    while not list(rows.glob("*.parquet")):
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    finished = {path.name: path.stat().st_mtime_ns for path in rows.glob("*.parquet")}
    assert 0 < len(finished) < 24
    for workspace in (tmp_path / "killed", tmp_path / "undisturbed"):
        done = _start(workspace, tiny_data, *arguments)
        output, errors = done.communicate()
        assert done.returncode == 0, errors
        assert "tables.md" in output
    assert {name: (rows / name).stat().st_mtime_ns for name in finished} == finished
    assert len(list(rows.glob("*.parquet"))) == 24
    assert _figures(tmp_path / "killed") == _figures(tmp_path / "undisturbed")
