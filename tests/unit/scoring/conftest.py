"""A tiny network in a folder, as version 1 of a registry, and as the weights of a run trained on the tiny data set."""

from pathlib import Path

import pytest

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import open_dataset
from gkm.registry import register
from gkm.scoring.cells import Place
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import save_weights
from tests.unit.scoring.small import small_network


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(small_network(), tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, small_weights: Path, tiny_data: Path) -> tuple[Tracking, str]:
    """A store, and the id of a run in it that keeps the weights and is registered as version 1."""
    workspace = tmp_path_factory.mktemp("runs")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    tags = {"gkm.data": open_dataset(tiny_data).fingerprint, "gkm.data_location": str(tiny_data)}
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags=tags)
    tracking.log_folder(run.run_id, small_weights, "weights")
    register(tracking, run.run_id, small_weights)
    return tracking, run.run_id


@pytest.fixture
def tiny(tiny_data: Path) -> Place:
    return Place("tiny", open_dataset(tiny_data))
