"""Trials that train on several Ray Train workers within a study."""

from pathlib import Path

import pytest

from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.session import start_ray
from gkm.study.space import Choice, SearchSpace
from gkm.study.tuner import Study, run_study
from gkm.study.workers import WorkerGroup
from gkm.tracking import open_tracking

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPACE = SearchSpace(
    {"optim.learning_rate": Choice(1e-2, 1e-3)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=2),
    ),
    trials=2,
    first_rung_epochs=2,
)


def test_a_study_of_two_worker_trials_ends_with_every_trial_tracked(tmp_path: Path, tiny_data: Path) -> None:
    tracking = open_tracking(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    tracking.prepare()
    cache = str(tmp_path / "cache")
    studies = str(tmp_path / "studies")
    with start_ray("local", 3):
        study = Study("grouped", SPACE, str(tiny_data), studies, tracking, cache, workers=WorkerGroup(2))
        results = run_study(study)
        with pytest.raises(InputError, match=r"needs 4\.01 CPU"):
            WorkerGroup(4).most_at_once()
    assert [trial.status for trial in results.trials] == ["finished", "finished"]
    assert [trial.epochs for trial in results.trials] == [2, 2]
    assert results.best is not None
    assert tracking.download(results.best.run_id, "weights", tmp_path / "best").is_dir()
