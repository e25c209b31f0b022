"""One trial of a study on some node: what it is told in, its training, or why there is none, out."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from gkm import storage
from gkm.config import TrialConfig
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.study.decisions.conductor import Assignment
from gkm.study.execution.workers import WorkerGroup, fit_on_workers
from gkm.training.course.leaving import LeaveRequest
from gkm.training.selection import Selection

MARKER = "study.json"
"""A small file in the study's folder, by which a trial sees that it looks at the same folder as the driver."""
GRACE_SECONDS = 8.0
"""How long a trial of a study that stops goes on towards its next epoch before it leaves within one."""
_KEPT = ("epoch", "learning_rate", "seconds", "time", "seconds_per_megapixel")
_KEPT_PREFIXES = ("train/", "val/", "best/", "system/")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Job:
    """What all trials of a study share; travels to them. There is nothing secret in it."""

    data: str
    folder: str
    """The study's folder, with the marker."""
    record_id: str
    selection: Selection
    cache: NodeCache | str | None = None
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    leave: LeaveRequest | None = None
    """By which the driver asks its trials to leave."""


def train(config: dict[str, Any], job: Job) -> None:
    """One trial, in a process of its own on some node."""
    # What trains is imported here: the driver, which imports this module too, does without.
    from gkm.training.course.divergence import TrainingDivergedError
    from gkm.training.course.leaving import Left
    from gkm.training.course.memory import BatchTooLargeError

    assignment = from_text(config["assignment"])
    try:
        check_folder(job)
        _train(assignment, job)
    except Left:
        return  # the driver is stopping; the next one hands the trial out again
    except (TrainingDivergedError, BatchTooLargeError) as error:  # of the settings: nothing else would help
        tune.report({"epoch": assignment.known_epoch, "ended": "diverged", "reason": str(error)})
    except InputError as error:
        tune.report({"epoch": assignment.known_epoch, "ended": "environment", "reason": str(error)})
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = error.filename or assignment.place
        tune.report(
            {
                "epoch": assignment.known_epoch,
                "ended": "environment",
                "reason": f"{where}: {error.strerror}; make room and start again",
            }
        )


def _train(assignment: Assignment, job: Job) -> None:
    from gkm.training.context import TuneContext
    from gkm.training.course.leaving import never
    from gkm.training.course.memory import keep_to_share
    from gkm.training.store import open_store
    from gkm.trial import run_trial

    if job.workers.workers == 1:
        if job.workers.trials_per_gpu > 1:
            keep_to_share(job.workers.trials_per_gpu)
        with nullcontext(never) if job.leave is None else job.leave.watched(GRACE_SECONDS) as leaving:
            context = TuneContext(open_store(assignment.place, background=True), assignment.known_epoch, leaving)
            run_trial(assignment.config, job.data, context, cache=job.cache, selection=job.selection)
        return
    fit_on_workers(
        job.workers,
        assignment.config,
        job.data,
        assignment.place,
        job.cache,
        name=f"trial-{assignment.number:05d}",
        selection=job.selection,
        known_epoch=assignment.known_epoch,
        callbacks=[TuneReportCallback()],
        leave=job.leave,
        grace_seconds=GRACE_SECONDS,
    )


def check_folder(job: Job) -> None:
    """Raises InputError on a node that does not see the study's folder."""
    marker = storage.join(job.folder, MARKER)
    found = json.loads(storage.read_bytes(marker)) if storage.exists(marker) else {}
    if found.get("record") != job.record_id:
        raise InputError(
            f"{job.folder}: this node does not see the study's folder, so what it trains would be lost; "
            "give --storage s3://BUCKET/PREFIX, or a --workspace on a file system that all nodes share"
        )


def reported(result: Mapping[str, Any]) -> dict[str, float]:
    """What the trial reported, without what Tune adds."""
    return {
        key: float(value)
        for key, value in result.items()
        if (key in _KEPT or key.startswith(_KEPT_PREFIXES)) and isinstance(value, int | float)
    }


def to_text(assignment: Assignment) -> str:
    """An assignment as Tune carries it: one text, which it leaves as it is."""
    content = {"number": assignment.number, "place": assignment.place, "known_epoch": assignment.known_epoch}
    return json.dumps({**content, "config": assignment.config.model_dump(mode="json")})


def from_text(text: str) -> Assignment:
    """The assignment that `to_text` wrote."""
    content = json.loads(text)
    return Assignment(**{**content, "config": TrialConfig.from_dict(content["config"])})


def last_line(error_file: str | None) -> str:
    """What went wrong, without the way it took, from the file in which Tune writes down each failure of a trial."""
    path = None if error_file is None else Path(error_file)
    lines = path.read_text(errors="replace").split("\n") if path is not None and path.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:500] if said else "no reason given"
