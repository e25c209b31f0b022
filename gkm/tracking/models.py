"""A folder that MLflow can load as a model in; the LoggedModel of a run, with its scores and their data set, out.

MLflow's pages compare LoggedModels by their metrics on each data set. One has files of its own, beside those of runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gkm import storage
from gkm.tracking.runs import DataInput, Runs, clean

_BEST_EPOCH = "best/epoch"
"""Metric of a run: the epoch whose weights were kept."""


class ModelFiles(NamedTuple):
    """A LoggedModel."""

    model_id: str
    location: str
    """URI of its files."""


def log_model(
    tracking: Runs, run_id: str, folder: Path, *, name: str, tags: Mapping[str, str], parameters: Mapping[str, str]
) -> ModelFiles:
    """Keep the MLflow model in `folder` as the LoggedModel `name` of a run, and what that run scored beside it.

    One with the same `tags` whose keeping was cut short is completed.
    """
    from mlflow.entities import LoggedModelOutput

    wanted = clean(tags)
    experiment = str(tracking.client.get_run(run_id).info.experiment_id)
    known = tracking.client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    found = next((model for model in known if wanted.items() <= model.tags.items()), None)
    model = found or tracking.client.create_logged_model(
        experiment, name, run_id, wanted, dict(parameters), model_type="image restoration"
    )
    files = ModelFiles(str(model.model_id), str(model.artifact_location))
    if storage.is_remote(files.location):
        storage.upload_folder(folder, files.location)
    else:
        tracking.client.log_model_artifacts(files.model_id, str(folder))
    if found is None or str(found.status) != "READY":
        step = _link_validation(tracking, run_id, files.model_id)
        outputs = tracking.client.get_run(run_id).outputs
        if files.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
            tracking.client.log_outputs(run_id, [LoggedModelOutput(files.model_id, step)])
        tracking.client.finalize_logged_model(files.model_id, "READY")
    return files


def link_scores(tracking: Runs, run_id: str, model_id: str, scores: Mapping[str, float], data: DataInput) -> None:
    """Record what a model scored on `data` as metrics of the run `run_id`, and have MLflow know whose they are."""
    from mlflow.entities import Metric

    time_ms = round(time.time() * 1000)
    named = {"dataset_name": data.name, "dataset_digest": data.digest}
    metrics = [Metric(key, value, time_ms, 0, model_id=model_id, **named) for key, value in scores.items()]
    tracking.client.log_batch(run_id, metrics=metrics)


def _link_validation(tracking: Runs, run_id: str, model_id: str) -> int:
    """Link the validation scores of the epoch whose weights were kept; returns that epoch, 0 where there is none.

    The points are those that the run has already, so that it has them once.
    """
    from mlflow.entities import Metric

    run = tracking.client.get_run(run_id)
    epoch = int(run.data.metrics.get(_BEST_EPOCH, 0))
    named = _validation_data(run)
    keys = [key for key in run.data.metrics if key.startswith("val/")] if epoch else []
    points = [(key, point) for key in keys for point in tracking.client.get_metric_history(run_id, key)]
    metrics = [
        Metric(key, point.value, point.timestamp, point.step, model_id=model_id, **named)
        for key, point in points
        if point.step == epoch
    ]
    if metrics:
        tracking.client.log_batch(run_id, metrics=metrics)
    return epoch


def _validation_data(run: Any) -> dict[str, str]:
    for entry in run.inputs.dataset_inputs if run.inputs else ():
        if any(tag.key == "mlflow.data.context" and tag.value == "validation" for tag in entry.tags):
            return {"dataset_name": entry.dataset.name, "dataset_digest": entry.dataset.digest}
    return {}
