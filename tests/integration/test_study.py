"""Studies on real Ray, Optuna and MLflow: from a search space to trials that end, are confirmed and grow in number."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.decisions.conductor import Conductor
from gkm.study.design.budget import Budget
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.space import Choice, SearchSpace
from gkm.study.execution.executor import execute
from gkm.study.execution.run import Outcome, Study, Unwatched, find_finished, run_study
from gkm.study.execution.session import start_ray
from gkm.study.execution.trial_process import Job
from gkm.study.record.record import RecordPlace, create_record, load_study
from gkm.study.record.results import StudyResults
from gkm.tracking import open_tracking
from gkm.training.checkpoint import load_weights
from gkm.training.selection import Selection
from pipelines.terminal.command import ENVIRONMENT

pytestmark = [pytest.mark.ray, pytest.mark.slow]

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
    confirm=2,
)


class Listener(Unwatched):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    with start_ray("local", 2):
        yield


@pytest.fixture(scope="module")
def make(ray_session: None, tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Callable[..., Study]:
    workspace = tmp_path_factory.mktemp("workspace")

    def study(name: str, space: SearchSpace | Arms, **more: object) -> Study:
        tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
        place, cache = RecordPlace(str(workspace / "studies")), str(workspace / "cache")
        return Study(name, space, str(tiny_data), str(workspace / "studies"), tracking, place, cache, **more)  # type: ignore[arg-type]

    return study


@pytest.fixture(scope="module")
def first(make: Callable[..., Study]) -> tuple[Study, Outcome, list[str]]:
    listener, study = Listener(), make("first", SPACE)
    outcome = run_study(study, nullcontext, listener)
    return study, outcome, listener.lines


def test_every_trial_is_a_child_run_with_settings_metrics_and_an_end(first: tuple[Study, Outcome, list[str]]) -> None:
    study, outcome, lines = first
    results = outcome.results
    assert (results.status, outcome.failure, outcome.signal) == ("finished", None, None)
    searched = [trial for trial in results.trials if trial.phase == "search"]
    assert [trial.number for trial in searched] == [0, 1, 2, 3, 4]
    assert {trial.status for trial in results.trials} == {"finished", "stopped"}
    assert results.trials[0].parameters == dict(SPACE.baseline)
    for trial in results.trials:
        assert trial.config.flat() | trial.parameters == trial.config.flat()
        assert [metrics["epoch"] for metrics in trial.history] == list(range(1, trial.epochs + 1))
        assert {"train/loss", "val/psnr", "val/ssim", "val/loss", "learning_rate", "seconds"} <= set(trial.history[0])
        assert trial.run_id is not None
        tags = study.tracking.tags(trial.run_id)
        assert tags["gkm.data"] == results.data_fingerprint
        assert {"gkm.version.torch", "gkm.seed", "gkm.fingerprint"} <= set(tags)
    assert any("stopped: behind" in line for line in lines)


def test_a_trial_has_one_value_everywhere(first: tuple[Study, Outcome, list[str]]) -> None:
    """That of the weights it keeps: in the record, in MLflow at every epoch, and in the results."""
    study, outcome, _ = first
    plain = optuna.load_study(study_name="first", storage=study.record.storage("first"))
    for trial in outcome.results.trials:
        scores = [metrics["val/psnr"] for metrics in trial.history]
        best = {epoch: max(scores[:epoch]) for epoch in range(1, len(scores) + 1)}
        assert plain.trials[trial.number].intermediate_values == pytest.approx(best)
        assert plain.trials[trial.number].value == pytest.approx(trial.score)
        points = study.tracking.client.get_metric_history(trial.run_id, "best/val/psnr")
        assert {point.step: point.value for point in points} == pytest.approx(best)
        wanted = {"finished": "COMPLETE", "stopped": "PRUNED"}[trial.status]
        assert plain.trials[trial.number].state.name == wanted


def test_the_best_settings_are_confirmed_with_fresh_seeds(first: tuple[Study, Outcome, list[str]]) -> None:
    results = first[1].results
    confirmed = [trial for trial in results.trials if trial.phase == "confirm"]
    assert [trial.seed for trial in confirmed] == [1, 1]
    assert [trial.status for trial in confirmed] == ["finished", "finished"]
    assert results.winner is not None
    assert results.winner.confirmed == max(trial.score for trial in confirmed)
    assert {trial.group for trial in confirmed} == {setting.number for setting in results.ranked[:2]}


def test_the_best_weights_of_the_best_trial_can_be_loaded_from_its_run(
    first: tuple[Study, Outcome, list[str]], tmp_path: Path
) -> None:
    study, outcome, _ = first
    best = outcome.results.best
    assert best is not None
    assert best.run_id is not None
    weights = study.tracking.download(best.run_id, "weights", tmp_path)
    assert load_weights(weights).config == best.config.model
    assert best.photographs is not None
    assert sum(best.photographs) / len(best.photographs) == pytest.approx(best.score, abs=1e-4)


def test_a_finished_study_is_not_run_again(first: tuple[Study, Outcome, list[str]]) -> None:
    found = find_finished(first[0])
    assert found is not None
    assert not found.worked
    assert [trial.run_id for trial in found.results.trials] == [trial.run_id for trial in first[1].results.trials]


def test_a_study_of_that_name_with_another_search_is_refused(
    first: tuple[Study, Outcome, list[str]], make: Callable[..., Study]
) -> None:
    other = SearchSpace({"model.num_kernels": Choice(1, 3)}, base=BASE, trials=5)
    with pytest.raises(InputError, match="study first: exists with another search space"):
        run_study(make("first", other), nullcontext)
    with pytest.raises(InputError, match="study first: exists with another search seed"):
        run_study(make("first", SPACE, seed=1), nullcontext)


def test_a_study_can_grow(first: tuple[Study, Outcome, list[str]]) -> None:
    study, outcome, _ = first
    grown = run_study(replace(study, space=SPACE.within(Budget(trials=6)), confirm=0), nullcontext).results
    assert grown.trials[: len(outcome.results.trials)] == outcome.results.trials
    assert len(grown.trials) == len(outcome.results.trials) + 1
    assert grown.status == "finished"


@pytest.mark.slow
def test_an_ablation_trains_every_arm_with_every_seed(make: Callable[..., Study]) -> None:
    arms = {"as it is": {}, "one kernel": {"model.num_kernels": 1}}
    space = Arms(arms, reference="as it is", base=BASE.with_values({"training.epochs": 2}), seeds=(0, 1, 2))
    results = run_study(make("arms", space), nullcontext).results
    assert [(trial.arm, trial.seed, trial.status) for trial in results.trials] == [
        (arm, seed, "finished") for seed in (0, 1, 2) for arm in arms
    ]
    assert [[trial.config.training.seed for trial in setting.trials] for setting in results.settings] == [[0, 1, 2]] * 2
    assert all(trial.photographs is not None and len(trial.photographs) == 2 for trial in results.trials)


@pytest.mark.slow
def test_a_searched_seed_is_the_one_that_trains(make: Callable[..., Study]) -> None:
    space = SearchSpace({"training.seed": Choice(3, 4)}, base=BASE.with_values({"training.epochs": 1}), trials=3)
    results = run_study(make("seeds", space), nullcontext).results
    losses = {}
    for trial in results.trials:
        assert trial.config.training.seed == trial.seed == trial.parameters["training.seed"]
        losses.setdefault(trial.seed, set()).add(trial.history[0]["train/loss"])
    assert all(len(values) == 1 for values in losses.values())
    assert len({value for values in losses.values() for value in values}) == len(losses)


@pytest.mark.slow
def test_a_diverged_trial_fails_with_its_reason_and_the_study_goes_on(make: Callable[..., Study]) -> None:
    # Applied sixteen times, wide kernels that all grew by 1 in the first step overflow in the second.
    kernels = {"model.gcm": "learned_random", "model.max_kernel_size": 21}
    base = BASE.with_values({**kernels, "model.iterations_per_scale": 8, "model.share_iterations": True})
    space = SearchSpace(
        {"optim.learning_rate": Choice(1.0, 1e-4)},
        base=base.with_values({"training.epochs": 2}),
        baseline={"optim.learning_rate": 1.0},
        trials=3,
        first_rung_epochs=2,
        confirm=0,
    )
    study = make("diverging", space)
    results: StudyResults = run_study(study, nullcontext).results
    failed = [trial for trial in results.trials if trial.status == "failed"]
    assert failed[0].number == 0
    assert "lower optim.learning_rate" in str(failed[0].reason)
    assert study.tracking.client.get_run(failed[0].run_id).info.status == "FAILED"
    assert len(results.trials) == 3
    if results.best is not None:
        assert results.best.status == "finished"


def test_an_unknown_study_lists_those_that_exist(first: tuple[Study, Outcome, list[str]]) -> None:
    with pytest.raises(InputError, match=r"study missing: is not on record in .* \(there: .*first"):
        load_study(first[0].record, "missing")


def test_the_driver_forgets_trials_that_have_ended(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray Tune keeps of each trial, 50 to 150 KB, would fill the memory of a driver of thousands."""
    from ray.tune.experiment import Trial

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    design = Grid({"model.num_kernels": Choice(3, 5)}, base=BASE, seeds=(0, 1))
    facts = {"base": BASE.model_dump(mode="json"), "budget": design.limits.to_json(), "folder": str(tmp_path)}
    record = create_record(RecordPlace(str(tmp_path)), "many", objectives=design.objectives, facts=facts)
    most, looked = 0, 0.0

    def brief(config: dict[str, Any], job: Job) -> None:
        from ray import tune

        if config["assignment"].count('"num_kernels": 5'):
            raise ValueError("no such thing")
        for epoch in range(1, 5):
            tune.report({"epoch": epoch, "val/psnr": 30.0, "best/val/psnr": 30.0, "time": 0.0})

    def look() -> None:
        nonlocal most, looked
        if time.monotonic() - looked < 2:  # it takes a while itself
            return
        gc.collect()
        looked = time.monotonic()
        most = max(most, sum(type(thing) is Trial for thing in gc.get_objects()))

    with record.held():
        job = Job(data="", folder=str(tmp_path), record_id=record.id, selection=Selection())
        execute(Conductor(record, design), job, train=brief, on_tick=look)
    ended = [trial.status for trial in record.results().trials]
    assert (ended.count("finished"), ended.count("failed")) == (2, 2)
    assert 1 <= most <= 6  # of eight, for what fails is tried again: two that run, two that wait, and what ended last


@pytest.mark.slow
def test_importing_the_results_of_a_study_does_not_import_ray() -> None:
    code = "import sys, gkm.study.record.results, gkm.study.record.record; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
