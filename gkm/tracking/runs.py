"""Runs of one experiment: made, found again, written to and read back.

`Tracking` is a few strings, so that it travels to other processes; each opens the store when it first needs it. Runs
are found again by their tags (`gkm.study`, `gkm.trial`) and never made twice.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.tracking import store
from gkm.tracking.records import Status, StudyRun, TrialRecord, plain, to_text

if TYPE_CHECKING:
    import numpy as np

_MLFLOW_STATUS = {"running": "RUNNING", "finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_LONGEST_TAG = 5000
_LONGEST_PARAMETER = 6000
_BATCH = 100
"""MLflow takes at most so many parameters or tags in one call."""


@dataclass
class TrialRun:
    """An open trial run; made by `Tracking.start_trial`."""

    tracking: Tracking
    run_id: str
    adopted: bool = False
    logged: dict[int, set[str]] = field(default_factory=dict)
    """Epoch -> metrics the run already has."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one epoch; those the run already has from before a restart are left as they are."""
        known = self.logged.setdefault(epoch, set())
        if new := {name: value for name, value in metrics.items() if name not in known}:
            self.tracking.log_metrics(self.run_id, new, epoch)
            known.update(new)

    def log_image(self, name: str, image: np.ndarray) -> None:
        """See `Tracking.log_image`."""
        self.tracking.log_image(self.run_id, name, image)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """See `Tracking.log_file`."""
        self.tracking.log_file(self.run_id, path, folder)

    def finish(self, status: Status, reason: str | None = None) -> None:
        """See `Tracking.finish`."""
        self.tracking.finish(self.run_id, status, reason)


@dataclass(frozen=True)
class Tracking:
    """MLflow runs of one experiment.

    Methods raise InputError where the store cannot be opened or used, and MLflow's own exceptions otherwise.
    """

    uri: str = field(repr=False)
    artifacts: str | None = None
    """Where runs keep their files; None: where the server was told to."""
    experiment: str = "gkm"

    @property
    def address(self) -> str:
        """The URI without passwords, fit for printing."""
        return store.redacted(self.uri)

    @property
    def ui_hint(self) -> str:
        """What a user opens or runs to look at the runs."""
        if store.is_server(self.uri):
            return self.address
        return f"mlflow ui --backend-store-uri {self.address}"

    def prepare(self) -> None:
        """Make the store and the experiment where they are missing, so that other processes find them ready."""
        _ = self.experiment_id

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment, made if it is missing."""
        return store.experiment_id(self.uri, self.experiment, self.artifacts)

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """One MlflowClient operation, tried again while another process has the database locked."""
        return store.patiently(getattr(store.client(self.uri), operation), *arguments, **keywords)

    # Studies

    def start_study(self, name: str, *, parameters: Mapping[str, object], tags: Mapping[str, str]) -> StudyRun:
        """The run of the study `name`, made if there is none yet, and marked as running.

        A parameter whose value differs from the first start's keeps it (MLflow's parameters cannot change) and has the
        new one in the tag `gkm.latest.PARAMETER`.
        """
        own = {"gkm.kind": "study", "gkm.study": name}
        run, adopted = self._adopt_or_create(own, run_name=name)
        changed = self._log_parameters(run, parameters)
        latest = {f"gkm.latest.{key}": value for key, value in changed.items()}
        self._mark_running(run, {**tags, **latest})
        return StudyRun(run.info.run_id, name, adopted)

    def find_study(self, name: str) -> str | None:
        """The run id of the study `name`, or None."""
        runs = self._find({"gkm.kind": "study", "gkm.study": name})
        return runs[0].info.run_id if runs else None

    def study_names(self) -> list[str]:
        """The names of all studies, oldest first."""
        return list(dict.fromkeys(run.data.tags["gkm.study"] for run in self._find({"gkm.kind": "study"})))

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
    ) -> TrialRun:
        """The run of the trial `trial_id` under its study's run, made if there is none yet, and marked as running.

        Raises InputError where the trial was started before with other settings.
        """
        own = {"gkm.kind": "trial", "gkm.trial": trial_id}
        if study_run_id is not None:
            own["mlflow.parentRunId"] = study_run_id
        run, adopted = self._adopt_or_create(own, run_name=trial_id if number is None else f"trial {number}")
        if changed := self._log_parameters(run, config.flat()):
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
        self._mark_running(run, {**tags, **described})
        logged: dict[int, set[str]] = {}
        if adopted:
            for entry in self.history(run.info.run_id, list(run.data.metrics)):
                logged[int(entry["epoch"])] = set(entry) - {"epoch"}
        return TrialRun(self, run.info.run_id, adopted, logged)

    def find_trial(self, study_run_id: str, trial_id: str) -> str | None:
        """The run id of a trial of a study, or None."""
        runs = self._find({"gkm.kind": "trial", "gkm.trial": trial_id, "mlflow.parentRunId": study_run_id})
        return runs[0].info.run_id if runs else None

    def find_trial(self, study_run_id: str, trial_id: str) -> str | None:
        """The run id of the trial `trial_id` of a study, or None."""
        runs = self._find({"gkm.kind": "trial", "gkm.trial": trial_id, "mlflow.parentRunId": study_run_id})
        return runs[0].info.run_id if runs else None

    def trials(self, study_run_id: str) -> list[TrialRecord]:
        """All trials of a study, by number."""
        runs = self._find({"gkm.kind": "trial", "mlflow.parentRunId": study_run_id})
        records = [self._record(run) for run in runs]
        return sorted(records, key=lambda record: (record.number is None, record.number or 0))

    def trial(self, run_id: str) -> TrialRecord:
        """One trial by the id of its run."""
        return self._record(self.call("get_run", run_id))

    def _record(self, run: Any) -> TrialRecord:
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
            history=self.history(run.info.run_id, list(run.data.metrics)),
        )

    def history(self, run_id: str, names: list[str]) -> list[dict[str, float]]:
        """The metrics `names` of a run by epoch; where one was logged twice, the first counts.

        Metrics of the test photographs ("test/...") belong to no epoch and are left out.
        """
        epochs: dict[int, dict[str, float]] = {}
        for name in names:
            if name.startswith("test/"):
                continue
            points = self.call("get_metric_history", run_id, name)
            for point in sorted(points, key=lambda point: (point.step, point.timestamp)):
                epochs.setdefault(point.step, {"epoch": float(point.step)}).setdefault(name, point.value)
        return [epochs[step] for step in sorted(epochs)]

    # Any run

    def finish(self, run_id: str, status: Status, reason: str | None = None) -> None:
        """Mark a run with its `status` and, if given, the reason."""
        self.set_tags(run_id, {"gkm.status": status} | ({"gkm.reason": reason} if reason else {}))
        if status == "running":
            self.call("update_run", run_id, status="RUNNING")
        else:
            self.call("set_terminated", run_id, status=_MLFLOW_STATUS[status])

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        return dict(self.call("get_run", run_id).data.tags)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; passwords in URIs are blotted out, long values cut."""
        from mlflow.entities import RunTag

        entities = [RunTag(key, store.redacted(str(value))[:_LONGEST_TAG]) for key, value in tags.items()]
        for start in range(0, len(entities), _BATCH):
            self.call("log_batch", run_id, tags=entities[start : start + _BATCH])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at one step, all or none of them."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self.call("log_batch", run_id, metrics=[Metric(k, float(value), now, step) for k, value in metrics.items()])

    def log_text(self, run_id: str, name: str, text: str) -> None:
        """Keep `text` as the artifact `name` (a path with "/")."""
        with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
            path = Path(folder) / Path(name).name
            path.write_text(text, encoding="utf-8")
            self.log_file(run_id, path, _folder_of(name))

    def log_image(self, run_id: str, name: str, image: np.ndarray) -> None:
        """Keep an image (height x width x 3, uint8) as the artifact `name`, such as "validation.png"."""
        from PIL import Image

        with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
            path = Path(folder) / Path(name).name
            Image.fromarray(image).save(path)
            self.log_file(run_id, path, _folder_of(name))

    def log_file(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Keep a copy of the file at `path` as an artifact, under `folder` if given; replaces an older one whole."""
        root = self.artifact_root(run_id)
        if root is None:
            self.call("log_artifact", run_id, str(path), folder)
            return
        target = root / (folder or "") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # A process may be killed while it copies: the half copy stays outside the artifacts.
        partial = root.parent / f".{path.name}.{os.getpid()}"
        shutil.copyfile(path, partial)
        os.replace(partial, target)

    def artifact_root(self, run_id: str) -> Path | None:
        """The folder of a run's artifacts where it lies on this machine, else None."""
        uri = urlsplit(self.call("get_run", run_id).info.artifact_uri)
        return Path(unquote(uri.path)) if uri.scheme == "file" else None

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """Copy an artifact (a file or a folder) of a run to the folder `to`; returns where it lies then.

        Raises InputError where the run has no such artifact.
        """
        to.mkdir(parents=True, exist_ok=True)
        try:
            return Path(self.call("download_artifacts", run_id, artifact_path, str(to)))
        except Exception as error:
            if not self._has_artifact(run_id, artifact_path):
                raise InputError(
                    f"run {run_id}: keeps no {artifact_path}; the trial ended before it was written, or it was deleted"
                ) from error
            raise

    def _has_artifact(self, run_id: str, artifact_path: str) -> bool:
        return any(
            entry.path == artifact_path for entry in self.call("list_artifacts", run_id, _folder_of(artifact_path))
        )

    # Finding and making runs

    def _find(self, tags: Mapping[str, str]) -> list[Any]:
        """The runs that carry all `tags`, oldest first."""
        wanted = " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())
        runs: list[Any] = []
        token: str | None = None
        while True:
            page = self.call("search_runs", [self.experiment_id], wanted, max_results=1000, page_token=token)
            # Some databases compare text without regard to case.
            runs += [run for run in page if all(run.data.tags.get(key) == value for key, value in tags.items())]
            token = page.token
            if not token:
                return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def _adopt_or_create(self, tags: Mapping[str, str], run_name: str) -> tuple[Any, bool]:
        """The oldest run that carries `tags`, or a new one; and whether it was there already."""
        self.prepare()
        with store.only_process(self.uri):
            if runs := self._find(tags):
                return runs[0], True
            created = self.call("create_run", self.experiment_id, tags=dict(tags), run_name=run_name)
            if store.sqlite_path(self.uri):
                return created, False
        # A server knows no lock: of two runs made at once by two processes the older one stays.
        oldest = self._find(tags)[0]
        if oldest.info.run_id == created.info.run_id:
            return created, False
        self.call("delete_run", created.info.run_id)
        return oldest, True

    def _log_parameters(self, run: Any, parameters: Mapping[str, object]) -> dict[str, str]:
        """Log the parameters the run lacks; returns those it has with another value."""
        from mlflow.entities import Param

        texts = {key: to_text(value)[:_LONGEST_PARAMETER] for key, value in parameters.items()}
        missing = [Param(key, text) for key, text in texts.items() if key not in run.data.params]
        for start in range(0, len(missing), _BATCH):
            self.call("log_batch", run.info.run_id, params=missing[start : start + _BATCH])
        return {key: text for key, text in texts.items() if run.data.params.get(key, text) != text}

    def _mark_running(self, run: Any, tags: Mapping[str, str]) -> None:
        self.set_tags(run.info.run_id, {**tags, "gkm.status": "running"})
        if "gkm.reason" in run.data.tags:
            self.call("delete_tag", run.info.run_id, "gkm.reason")
        if run.info.status != "RUNNING":
            self.call("update_run", run.info.run_id, status="RUNNING")


def _folder_of(name: str) -> str | None:
    return name.rpartition("/")[0] or None


def _quoted(value: str) -> str:
    """`value` as text in an MLflow filter, which knows no escapes."""
    for quote in ("'", '"'):
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise InputError(f"{value}: a name cannot hold both kinds of quotation marks; choose another name")
