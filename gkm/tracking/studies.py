"""Studies and trials: a parent run per study, a child run per trial, found again after a restart and never made twice.

Tags tell them: `gkm.kind`, `gkm.study`, `gkm.trial`, `gkm.number`, `gkm.status` and `gkm.reason`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.tracking.address import is_server, sqlite_path
from gkm.tracking.records import Status, StudyRun, TrialRecord, plain
from gkm.tracking.runs import Runs
from gkm.tracking.store import default_tracking_uri

if TYPE_CHECKING:
    import numpy as np


@dataclass
class TrialRun:
    """An open trial run; made by `Tracking.start_trial`."""

    tracking: Tracking
    run_id: str
    adopted: bool = False
    logged: dict[int, set[str]] = field(default_factory=dict)
    """Epoch -> metrics the run already has."""
    pictures: dict[str, set[int]] = field(default_factory=dict)
    """Key -> steps whose picture the run has, as far as was looked at."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float], timestamp_seconds: float | None = None) -> None:
        """Record the metrics of one epoch; those the run already has from before a restart are left as they are."""
        known = self.logged.setdefault(epoch, set())
        if new := {name: value for name, value in metrics.items() if name not in known}:
            self.tracking.log_metrics(self.run_id, new, epoch, timestamp_seconds)
            known.update(new)

    def log_image(self, name: str, image: np.ndarray) -> None:
        """See `Tracking.log_image`."""
        self.tracking.log_image(self.run_id, name, image)

    def log_picture(self, key: str, step: int, png: bytes, timestamp_seconds: float | None = None) -> None:
        """See `Tracking.log_picture`; a step of `key` that the run has is left as it is."""
        if key not in self.pictures:
            self.pictures[key] = self.tracking.picture_steps(self.run_id, key) if self.adopted else set()
        if step not in self.pictures[key]:
            self.tracking.log_picture(self.run_id, key, step, png, timestamp_seconds)
            self.pictures[key].add(step)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """See `Tracking.log_file`."""
        self.tracking.log_file(self.run_id, path, folder)

    def note(self, text: str) -> None:
        """Keep what a user should know of this trial, such as that a checkpoint was damaged; earlier text goes."""
        self.tracking.set_tags(self.run_id, {"gkm.notes": text})

    def finish(self, status: Status, reason: str | None = None) -> None:
        """See `Tracking.finish`."""
        self.tracking.finish(self.run_id, status, reason)


class Tracking(Runs):
    """The studies and trials of one experiment, beside what can be done with any run (see `Runs`)."""

    def start_study(self, name: str, *, parameters: Mapping[str, object], tags: Mapping[str, str]) -> StudyRun:
        """The run of the study `name`, made if there is none yet, and marked as running.

        A parameter whose value differs from the first start's keeps it (MLflow's parameters cannot change) and has the
        new one in the tag `gkm.latest.PARAMETER`.
        """
        own = {"gkm.kind": "study", "gkm.study": name}
        run, adopted = self.adopt_or_create(own, run_name=name)
        changed = self.log_parameters(run, parameters)
        latest = {f"gkm.latest.{key}": value for key, value in changed.items()}
        self.mark_running(run, {**tags, **latest})
        return StudyRun(run.info.run_id, name, adopted)

    def find_study(self, name: str) -> str | None:
        """The run id of the study `name`, the newest of that name, or None."""
        runs = self.studies(name)
        return runs[-1].info.run_id if runs else None

    def find_study_run(self, run_id: str) -> str | None:
        """`run_id` where there is such a run, or None."""
        return None if self.get(run_id) is None else run_id

    def studies(self, name: str) -> list[Any]:
        """The runs of all studies called `name`, oldest first; there may be several, of other records."""
        return self.find({"gkm.kind": "study", "gkm.study": name})

    def study_names(self) -> list[str]:
        """The names of all studies, oldest first."""
        return list(dict.fromkeys(run.data.tags["gkm.study"] for run in self.find({"gkm.kind": "study"})))

    # Trials

    def start_trial(
        self,
        trial_id: str,
        *,
        study_run_id: str | None,
        number: int | None,
        config: TrialConfig,
        searched: Mapping[str, object],
        tags: Mapping[str, str],
        run_name: str | None = None,
    ) -> TrialRun:
        """The run of the trial `trial_id` under its study's run, made if there is none yet, and marked as running.

        MLflow's pages call it `run_name`, or else by its number or id.

        Raises InputError where the trial was started before with other settings.
        """
        own = {"gkm.kind": "trial", "gkm.trial": trial_id}
        if study_run_id is not None:
            own["mlflow.parentRunId"] = study_run_id
        usual = trial_id if number is None else f"trial {number}"
        run, adopted = self.adopt_or_create(own, run_name=run_name or usual)
        if changed := self.log_parameters(run, config.flat()):
            key, value = next(iter(changed.items()))
            raise InputError(
                f"trial {trial_id}: was started with {key} = {run.data.params[key]}, not {value}; "
                "restore the settings or give the trial another name"
            )
        described = {
            "gkm.fingerprint": config.fingerprint(),
            "gkm.seed": str(config.training.seed),
            "gkm.searched": json.dumps({key: plain(value) for key, value in searched.items()}),
        }
        if number is not None:
            described["gkm.number"] = str(number)
        self.mark_running(run, {**tags, **described})
        logged: dict[int, set[str]] = {}
        if adopted:
            for entry in self.history(run.info.run_id, list(run.data.metrics)):
                logged[int(entry["epoch"])] = set(entry) - {"epoch"}
        return TrialRun(self, run.info.run_id, adopted, logged)

    def find_trial(self, study_run_id: str, trial_id: str) -> str | None:
        """The run id of a trial of a study, or None."""
        runs = self.find({"gkm.kind": "trial", "gkm.trial": trial_id, "mlflow.parentRunId": study_run_id})
        return runs[0].info.run_id if runs else None

    def trials(self, study_run_id: str, times: bool = False) -> list[TrialRecord]:
        """All trials of a study, by number; `times`: their histories have the "time" of each epoch."""
        record = self.tags(study_run_id).get("gkm.record")
        # Between a study of a record and its trials there may be runs of settings.
        own = {"mlflow.parentRunId": study_run_id} if record is None else {"gkm.record": record}
        records = [self._record(run, times) for run in self.find({"gkm.kind": "trial", **own})]
        return sorted(records, key=lambda record: (record.number is None, record.number or 0))

    def trial(self, run_id: str) -> TrialRecord:
        """One trial by the id of its run."""
        return self._record(self.client.get_run(run_id))

    def _record(self, run: Any, times: bool = False) -> TrialRecord:
        tags = dict(run.data.tags)
        number = tags.get("gkm.number")
        return TrialRecord(
            run_id=run.info.run_id,
            trial_id=tags["gkm.trial"],
            number=None if number is None else int(number),
            status=tags.get("gkm.status", "running"),
            reason=tags.get("gkm.reason"),
            tags=tags,
            params=dict(run.data.params),
            searched=json.loads(tags.get("gkm.searched", "{}")),
            history=self.history(run.info.run_id, list(run.data.metrics), times),
            status_in_mlflow=run.info.status,
            started_seconds=run.info.start_time / 1000,
        )


def open_tracking(workspace: Path, uri: str | None = None, files: str | None = None) -> Tracking:
    """The tracking of a workspace: at `uri` where one is given, else at `default_tracking_uri`.

    A server keeps artifacts where it was told to; for a database they go to `artifacts` in the location `files`, or
    else in the workspace. Nothing is opened yet; see `Tracking.prepare`.
    """
    uri = uri or default_tracking_uri(workspace)
    if path := sqlite_path(uri):
        uri = f"sqlite:///{path.absolute()}"
    artifacts = storage.join(storage.absolute(files) if files else workspace.absolute(), "artifacts")
    return Tracking(uri, None if is_server(uri) else artifacts)
