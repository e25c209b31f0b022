"""A workspace with one registered network, for the commands that use one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from gkm.config import ModelConfig, TrialConfig
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import register
from gkm.tracking import open_tracking
from gkm.training.checkpoint import save_weights
from pipelines.terminal.command import build

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
    for omega in (model.blocks[0].omega_y, model.blocks[0].omega_x):
        torch.nn.init.constant_(omega, 0.5)  # surely worse than no network
    return save_weights(model, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory, weights: Path, tiny_data: Path) -> Path:
    """Its data set is the tiny one, its challenger version 1; read only."""
    workspace = tmp_path_factory.mktemp("runs")
    shutil.copytree(tiny_data, workspace / "data" / "sample")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    register(tracking, run.run_id, weights)
    return workspace


@pytest.fixture
def workspace(shared_workspace: Path, tmp_path: Path) -> Path:
    """A copy to change; artifacts stay where they are."""
    return shutil.copytree(shared_workspace, tmp_path / "runs", ignore=shutil.ignore_patterns("artifacts"))


@pytest.fixture
def invoke(workspace: Path) -> Invoke:
    """Runs a pipeline's `main` with arguments in that workspace."""

    def call(main: Callable[..., None], *arguments: Any) -> Result:
        environment = {"GKM_WORKSPACE": str(workspace), "MLFLOW_TRACKING_URI": None, "COLUMNS": "200"}
        result = CliRunner().invoke(build(main), [str(a) for a in arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    assert os.environ.get("GKM_WORKSPACE") is None
    return call
