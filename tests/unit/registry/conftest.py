"""A registry of small networks, and of versions without any; measurements made up for the gates."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gkm.config import ModelConfig, TrialConfig
from gkm.data.reading.cache import open_split
from gkm.evaluation import to_tensor
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import ledger, register
from gkm.registry.measuring import Measured
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import load_weights, save_weights
from tests.unit.registry.measurements import GAINS, measured

CONFIG = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that return a photograph nearly as it is."""
    torch.manual_seed(0)
    return save_weights(GKMNet(CONFIG), tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def trained(untrained: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that restore a little of what the tiny data set lost."""
    model = load_weights(untrained).train()
    pairs = open_split(tiny_data, "train", tmp_path_factory.mktemp("cache"))
    blurred = torch.cat([to_tensor(pair.blurred_HW3) for pair in pairs])
    sharp = torch.cat([to_tensor(pair.sharp_HW3) for pair in pairs])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        loss = (model(blurred)[-1] - sharp).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return save_weights(model, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, to copy: making them takes a second."""
    folder = tmp_path_factory.mktemp("empty")
    open_tracking(folder, f"sqlite:///{folder}/mlflow.db").client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path) -> Tracking:
    workspace = tmp_path / "runs"
    workspace.mkdir()
    shutil.copyfile(empty_store, workspace / "mlflow.db")
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


@pytest.fixture
def register_as_good_as(tracking: Tracking, untrained: Path, trained: Path, tmp_path: Path) -> Callable[[float], int]:
    """Registers a network with a share of the training: 1 has all of it, -1 was led as far the wrong way."""
    start = dict(load_weights(untrained).named_parameters())
    count = iter(range(1000))

    def register_one(share: float) -> int:
        model = load_weights(trained)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.lerp_(start[name], 1 - share)
        trial = tracking.start_trial(
            f"t{next(count)}",
            study_run_id=None,
            number=None,
            config=TrialConfig(),
            searched={},
            tags={"gkm.data": "abc"},
        )
        return register(tracking, trial.run_id, save_weights(model, tmp_path / trial.run_id))

    return register_one


@pytest.fixture
def add_version(tracking: Tracking) -> Callable[..., int]:
    """Adds a version without files, which nobody claims anything for; returns its number."""

    def add(**tags: str) -> int:
        ledger.ensure(tracking)
        found = tracking.client.create_model_version(
            "gkmnet", "file:///nowhere", tags={f"gkm.{key}": value for key, value in tags.items()}
        )
        return int(found.version)

    return add


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has every version gain so many dB a photograph, as if it had been measured."""

    def set_gains(*gains: float, **more: Any) -> None:
        def measure(tracking: Tracking, version: int, opponent: int | None, *_: Any, **__: Any) -> Measured:
            return measured(version, opponent, gains or GAINS, **more)

        monkeypatch.setattr("gkm.registry.promotion.measure", measure)

    return set_gains
