"""A search space and a data set in; a finished, tracked study out. Ray Tune with Optuna's TPE and ASHA, resumable.

Run again, a finished study does nothing; an unfinished one goes on where it was: trials from their checkpoints, the
sampler from its history, ASHA from its rungs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import optuna
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.search.optuna import OptunaSearch

from gkm import storage
from gkm.data.cache import NodeCache, open_split
from gkm.data.manifest import read_manifest
from gkm.errors import InputError
from gkm.evaluation import evaluate, mean_scores
from gkm.study.progress import Listener, StudyCallback, last_line
from gkm.study.restoring import SurvivingCheckpoint
from gkm.study.results import StudyResults, load_study
from gkm.study.scheduler import ResumableASHA
from gkm.study.space import SearchSpace
from gkm.study.workers import WorkerGroup, fit_on_workers
from gkm.tracking import Tracking, environment_tags
from gkm.training.context import TuneContext
from gkm.training.loop import TrainingDivergedError
from gkm.trial import SELECTION_METRIC, run_trial

RETRIES = 2
"""Times a trial is started again after its process died; one that diverged is not."""


KEPT_CHECKPOINTS = 10
"""Of each trial. Tune writes its own state whenever a trial has written as many, which takes some seconds on S3."""
RUNGS_NAME = "rungs.asha"
"""Not *.json: those Tune copies to itself when a study is restored, and puts the old copy back over ours later."""


@dataclass(frozen=True)
class Study:
    """Everything a study is made of; travels to its trials."""

    name: str
    space: SearchSpace
    data: str
    """Directory of the prepared data set."""
    folder: str
    """Where studies keep their state; this one's is the folder `name` in it."""
    tracking: Tracking
    cache: NodeCache | str | None = None
    seed: int = 0
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    """What each trial runs on: one worker is the trial's own process, several are a Ray Train group."""

    @property
    def state(self) -> str:
        return storage.join(self.folder, self.name)


def find_finished(study: Study) -> StudyResults | None:
    """The results of `study` where it has been run to its end before; needs no Ray session.

    Raises InputError where a study of that name exists with other settings or data.
    """
    run_id = _on_record(study)
    if run_id is None or study.tracking.tags(run_id).get("gkm.status") != "finished":
        return None
    return load_study(study.tracking, study.name)


def run_study(study: Study, listener: Listener | None = None) -> StudyResults:
    """Run `study` to its end in the Ray session at hand, or go on with it; returns all its trials.

    Raises InputError where the data set cannot be used, or a study of that name exists with other settings or data.
    """
    if (finished := find_finished(study)) is not None:
        return finished
    tags = {**environment_tags(), **_identity(study)}
    run_id = _on_record(study) or _create(study, tags)
    StudyCallback.listener = listener
    try:
        grid = _tuner(study, run_id, tags).fit()
    finally:
        StudyCallback.listener = None
    results = load_study(study.tracking, study.name)
    if results.best is None:
        reasons = {trial.reason for trial in results.trials if trial.reason} or {last_line(e) for e in grid.errors}
        study.tracking.finish(run_id, "failed", "no trial was validated")
        raise InputError(
            f"study {study.name}: no trial was validated ({'; '.join(sorted(reasons))}); mend that, use a new name"
        )
    _summarise(study, results)
    return results


def _identity(study: Study) -> dict[str, str]:
    return {
        "gkm.data": read_manifest(study.data).fingerprint,
        "gkm.space": study.space.fingerprint(),
        "gkm.seed": str(study.seed),
        "gkm.trials": str(study.space.trials),
    }


def _on_record(study: Study) -> str | None:
    """The parent run of the study, if there is one and it is of this very study."""
    existing = study.tracking.find_study(study.name)
    recorded = study.tracking.tags(existing) if existing else {}
    for key, value in _identity(study).items():
        if recorded.get(key, value) != value:
            raise InputError(
                f"study {study.name}: exists with another {key.removeprefix('gkm.')} "
                f"({recorded[key]}, now {value}); choose another --study name"
            )
    return existing


def _create(study: Study, tags: dict[str, str]) -> str:
    """The parent run of a new study, with the scores of the blurred validation photographs to compare trials with."""
    parameters = {f"space.{path}": str(parameter) for path, parameter in study.space.parameters.items()}
    base = {"gkm.base": json.dumps(study.space.base.model_dump(mode="json"))}
    run = study.tracking.start_study(study.name, parameters=parameters, tags={**tags, **base})
    validation = open_split(study.data, "validation", study.cache)
    blurred = mean_scores(evaluate(None, (validation[i] for i in range(len(validation))), with_lpips=False))
    study.tracking.log_metrics(run.run_id, {f"val/blurred_{key}": blurred[key] for key in ("psnr", "ssim")}, step=0)
    return run.run_id


def _tuner(study: Study, run_id: str, tags: dict[str, str]) -> tune.Tuner:
    trainable = tune.with_resources(
        tune.with_parameters(_tune_trial, study=study, study_run_id=run_id, tags=tags),
        study.workers.tune_resources(),
    )
    filesystem, folder = storage.arrow_filesystem(study.folder)
    state = storage.join(folder, study.name)
    if tune.Tuner.can_restore(state, filesystem):
        return tune.Tuner.restore(state, trainable, resume_unfinished=True, storage_filesystem=filesystem)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, epochs = study.space, study.space.base.training.epochs
    search = OptunaSearch(
        space=space.suggest_numbered,
        metric=SELECTION_METRIC,
        mode="max",
        points_to_evaluate=[dict(space.baseline)] if space.baseline else None,
        study_name=study.name,
        seed=study.seed,
    )
    scheduler = ResumableASHA(
        storage.join(study.state, RUNGS_NAME),
        metric=SELECTION_METRIC,
        epochs=epochs,
        first_rung_epochs=space.first_rung_epochs,
        reduction_factor=space.reduction_factor,
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=scheduler,
            num_samples=space.trials,
            reuse_actors=True,
            max_concurrent_trials=study.workers.most_at_once(),
        ),
        run_config=tune.RunConfig(
            name=study.name,
            storage_path=folder,
            storage_filesystem=filesystem,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            callbacks=[StudyCallback(study.tracking, run_id, space.trials, epochs)],
        ),
    )


def _tune_trial(values: dict[str, Any], study: Study, study_run_id: str, tags: dict[str, str]) -> None:
    """One trial, in a process of its own."""
    trial_id = tune.get_context().get_trial_id()
    searched = {path: value for path, value in values.items() if path != "trial"}
    config = study.space.config(searched).with_values({"training.seed": study.seed})
    run = study.tracking.start_trial(
        trial_id,
        study_run_id=study_run_id,
        number=int(values["trial"]),
        config=config,
        searched=searched,
        tags=tags,
    )
    diverged = study.tracking.tags(run.run_id).get("gkm.diverged")
    if diverged:
        run.finish("failed", diverged)
        raise TrainingDivergedError(diverged)
    try:
        if study.workers.workers == 1:
            run_trial(config, study.data, TuneContext(), run, study.cache)
        else:
            folder = storage.join(study.state, "workers")
            reports = [TuneReportCallback()]
            fit_on_workers(
                study.workers, config, study.data, run, study.cache, name=trial_id, folder=folder, callbacks=reports
            )
    except TrainingDivergedError as error:
        study.tracking.set_tags(run.run_id, {"gkm.diverged": str(error)})
        run.finish("failed", str(error))
        raise
    run.finish("finished")


def _summarise(study: Study, results: StudyResults) -> None:
    """Close the study's run with its outcome."""
    best = results.best
    assert best is not None
    counts = {f"trials/{status}": float(results.count(status)) for status in ("finished", "stopped", "failed")}
    study.tracking.log_metrics(results.run_id, {f"best/{SELECTION_METRIC}": best.score, **counts}, step=0)
    study.tracking.set_tags(results.run_id, {"gkm.best_run": best.run_id, "gkm.best_trial": str(best.number)})
    study.tracking.finish(results.run_id, "finished")


_tune_trial.__mixins__ = (SurvivingCheckpoint,)  # type: ignore[attr-defined]
