"""What was written before networks had kinds stays usable: a finished study, its checkpoints, its registered model.

tests/data/workspace-of-3883a14.tar.xz is a workspace as commit 3883a14 left it after a study of four trials; pictures
and what is not read here were taken out of it. Paths in it begin with /before.
"""

import io
import os
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gkm.config import GKMNetConfig
from gkm.data.dataset.manifest import read_manifest
from gkm.errors import InputError
from gkm.evaluation import restore_image
from gkm.registry import load
from gkm.study.record.archive import read_results
from gkm.study.record.record_place import RecordPlace
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import training_state
from gkm.training.context import LocalContext
from gkm.training.store import open_store
from gkm.trial import run_trial
from pipelines.study import COMMANDS
from pipelines.terminal.command import build_group

KEPT = Path(__file__).resolve().parents[1] / "data" / "workspace-of-3883a14.tar.xz"
BEFORE = "/before/runs"
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps absolute paths: table and column."""
USER = """
import sys
import warnings
import numpy as np
warnings.simplefilter("ignore")
import mlflow.pyfunc
np.save(sys.argv[2], mlflow.pyfunc.load_model("models:/gkmnet@challenger").predict(np.load(sys.argv[1])))
import gkm
print(gkm.__file__)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The folder `runs` of that time, at another place; its data set lies beside it."""
    with tarfile.open(fileobj=io.BytesIO(KEPT.read_bytes()), mode="r:xz") as archive:
        if hasattr(tarfile, "data_filter"):  # Python has it from 3.11.4 on
            archive.extractall(tmp_path, filter="data")
        else:
            archive.extractall(tmp_path)
    runs = tmp_path / "runs"
    journal = runs / "studies" / "s.journal"
    journal.write_text(journal.read_text().replace(BEFORE, str(runs)))
    with sqlite3.connect(runs / "mlflow.db") as database:
        database.execute(
            "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", (BEFORE, str(runs))
        )
        database.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", (BEFORE, str(runs)))
        for column in ("source", "storage_location"):
            database.execute(f"UPDATE model_versions SET {column} = replace({column}, ?, ?)", (BEFORE, str(runs)))
    database.close()
    return runs


@pytest.fixture
def tracking(workspace: Path) -> Tracking:
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


def test_the_finished_study_has_its_results(workspace: Path) -> None:
    results = read_results(RecordPlace(str(workspace / "studies")), "s")
    assert results.status == "finished"
    assert results.best is not None
    assert results.best.number == 1
    assert [trial.status for trial in results.trials] == ["finished", "finished", "stopped", "stopped"]
    assert {trial.config.model.kind for trial in results.trials} == {"gkmnet"}
    assert results.best.score == pytest.approx(max(trial.score for trial in results.trials if trial.score is not None))


def test_the_study_is_shown(workspace: Path) -> None:
    environment = {"GKM_WORKSPACE": str(workspace), "MLFLOW_TRACKING_URI": None, "GKM_RECORD": None, "COLUMNS": "100"}
    shown = CliRunner().invoke(build_group(COMMANDS, "Studies."), ["show", "s"], env=environment)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("study s: finished; 2 finished, 2 stopped")


@pytest.mark.slow
def test_a_stopped_trial_goes_on_from_its_checkpoint(workspace: Path, tmp_path: Path) -> None:
    place = workspace / "studies" / "s" / "trials" / "00002"
    state = training_state((place / "checkpoints" / "epoch-0000002" / "state.json").read_bytes())
    results = read_results(RecordPlace(str(workspace / "studies")), "s")
    config = results.trials[2].config
    assert state["fingerprint"] == config.fingerprint()
    data = str(workspace.parent / "data")
    assert read_manifest(data).fingerprint == results.data_fingerprint
    done = run_trial(config, data, LocalContext(open_store(str(place))), cache=str(tmp_path / "cache"))
    assert [metrics["epoch"] for metrics in done.history] == [1, 2, 3, 4, 5, 6]
    assert list(done.history[:2]) == state["history"]


@pytest.mark.slow
def test_other_settings_do_not_go_on_from_it(workspace: Path, tmp_path: Path) -> None:
    place = workspace / "studies" / "s" / "trials" / "00002"
    config = read_results(RecordPlace(str(workspace / "studies")), "s").trials[2].config
    with pytest.raises(InputError, match=r"model\.omega is per_scale in the checkpoint, shared_with_bias now"):
        run_trial(
            config.with_values({"model.omega": "shared_with_bias"}),
            str(workspace.parent / "data"),
            LocalContext(open_store(str(place))),
            cache=str(tmp_path / "cache"),
        )


@pytest.mark.slow
def test_the_registered_model_restores_a_photograph(workspace: Path, tracking: Tracking, tmp_path: Path) -> None:
    """The same by the registry, which reads its weights, and by MLflow alone, with the source that it carries."""
    loaded = load(tracking, "challenger")
    assert isinstance(loaded.model.config, GKMNetConfig)
    assert loaded.name == "gkmnet version 1 (challenger)"
    photo = np.random.default_rng(0).integers(0, 256, (64, 50, 3), dtype=np.uint8)
    restored = restore_image(loaded.model, photo)
    assert (restored != photo).any()
    np.save(tmp_path / "photo.npy", photo)
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/mlflow.db"}
    command = [sys.executable, "-c", USER, str(tmp_path / "photo.npy"), str(tmp_path / "restored.npy")]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "code/gkm" in answer.stdout, "the source that travels with the model was not used"
    np.testing.assert_array_equal(np.load(tmp_path / "restored.npy"), restored)


def test_the_present_code_serves_it_too(workspace: Path) -> None:
    """Where this project is imported already, MLflow finds its loader by the name that was written then."""
    from gkm.registry import served

    model_file = next((workspace / "artifacts").rglob("MLmodel"))
    assert f"loader_module: {served.__name__}\n" in model_file.read_text()
    photo = np.zeros((32, 48, 3), np.uint8)
    assert served._load_pyfunc(str(model_file.parent / served.WEIGHTS_FOLDER)).predict(photo).shape == photo.shape
