"""Studies on real Ray, Optuna and MLflow: from a search space to tracked trials, stopped, failed and resumed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.results import StudyResults, load_study
from gkm.study.session import start_ray
from gkm.study.space import Choice, SearchSpace
from gkm.study.tuner import Study, run_study
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import load_weights

pytestmark = pytest.mark.ray

BASE = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    training=TrainingConfig(epochs=4),
)
SPACE = SearchSpace(
    {"optim.learning_rate": Choice(1e-2, 1e-9, 1e-3), "model.num_kernels": Choice(1, 3, 5)},
    base=BASE,
    baseline={"optim.learning_rate": 1e-2, "model.num_kernels": 3},
    trials=5,
    first_rung_epochs=1,
    reduction_factor=2,
)


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    with start_ray("local", 2):
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


def _study(workspace: Path, data: Path, name: str, space: SearchSpace) -> Study:
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    tracking.prepare()
    return Study(name, space, str(data), str(workspace / "studies"), tracking, str(workspace / "cache"))


@pytest.fixture(scope="module")
def finished(ray_session: None, workspace: Path, tiny_data: Path) -> tuple[StudyResults, Tracking, list[str]]:
    lines: list[str] = []
    study = _study(workspace, tiny_data, "first", SPACE)
    results = run_study(study, lambda progress, what: lines.append(what))
    return results, study.tracking, lines


def test_every_trial_is_a_child_run_with_settings_metrics_and_an_end(
    finished: tuple[StudyResults, Tracking, list[str]],
) -> None:
    results, tracking, lines = finished
    assert [trial.number for trial in results.trials] == [0, 1, 2, 3, 4]
    assert {trial.status for trial in results.trials} <= {"finished", "stopped"}
    assert results.count("stopped") >= 1
    assert results.trials[0].parameters == dict(SPACE.baseline)
    for trial in results.trials:
        assert trial.config.flat() | trial.parameters == trial.config.flat()
        assert [metrics["epoch"] for metrics in trial.history] == list(range(1, trial.epochs + 1))
        assert {"train/loss", "val/psnr", "val/ssim", "val/loss", "learning_rate", "seconds"} <= set(trial.history[0])
        tags = tracking.tags(trial.run_id)
        assert tags["mlflow.parentRunId"] == results.run_id
        assert tags["gkm.data"] == results.data_fingerprint
        assert {"gkm.version.torch", "gkm.seed", "gkm.fingerprint"} <= set(tags)
    assert any("stopped: behind the other trials" in line for line in lines)


def test_the_best_weights_of_the_best_trial_can_be_loaded_from_its_run(
    finished: tuple[StudyResults, Tracking, list[str]], tmp_path: Path
) -> None:
    results, tracking, _ = finished
    assert results.best is not None
    assert results.best.score == max(trial.score for trial in results.trials)
    weights = tracking.download(results.best.run_id, "weights", tmp_path)
    assert load_weights(weights).config == results.best.config.model
    assert tracking.download(results.best.run_id, "validation.png", tmp_path).stat().st_size > 1000


def test_a_finished_study_is_not_run_again(
    finished: tuple[StudyResults, Tracking, list[str]], workspace: Path, tiny_data: Path
) -> None:
    results = finished[0]
    lines: list[str] = []
    again = run_study(_study(workspace, tiny_data, "first", SPACE), lambda progress, what: lines.append(what))
    assert not lines
    assert [trial.run_id for trial in again.trials] == [trial.run_id for trial in results.trials]


def test_a_study_of_that_name_with_another_search_is_refused(
    finished: tuple[StudyResults, Tracking, list[str]], workspace: Path, tiny_data: Path
) -> None:
    other = SearchSpace({"model.num_kernels": Choice(1, 3)}, base=BASE, trials=5)
    with pytest.raises(InputError, match="study first: exists with another space"):
        run_study(_study(workspace, tiny_data, "first", other))


@pytest.mark.slow
def test_a_diverged_trial_fails_with_its_reason_and_the_study_goes_on(
    ray_session: None, workspace: Path, tiny_data: Path
) -> None:
    # Applied sixteen times, wide kernels that all grew by 1 in the first step overflow in the second.
    kernels = {"model.gcm": "learned_random", "model.max_kernel_size": 21}
    base = BASE.with_values({**kernels, "model.iterations_per_scale": 8, "model.share_iterations": True})
    space = SearchSpace(
        {"optim.learning_rate": Choice(1.0, 1e-4)},
        base=base.with_values({"training.epochs": 2}),
        baseline={"optim.learning_rate": 1.0},
        trials=3,
        first_rung_epochs=2,
    )
    study = _study(workspace, tiny_data, "diverging", space)
    results = run_study(study)
    failed = [trial for trial in results.trials if trial.status == "failed"]
    assert failed[0].number == 0
    assert "lower optim.learning_rate" in str(failed[0].reason)
    assert study.tracking.call("get_run", failed[0].run_id).info.status == "FAILED"
    assert len(results.trials) == 3
    if results.best is not None:
        assert results.best.status == "finished"


def test_an_unknown_study_lists_those_that_exist(finished: tuple[StudyResults, Tracking, list[str]]) -> None:
    with pytest.raises(InputError, match=r"study missing: is not in the tracking store \(there: first"):
        load_study(finished[1], "missing")


@pytest.mark.slow
def test_importing_the_results_of_a_study_does_not_import_ray() -> None:
    code = "import sys, gkm.study.results; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
