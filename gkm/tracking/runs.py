"""One experiment's runs: made or found again by their tags, written to and read back, whatever they stand for."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gkm import storage
from gkm.errors import InputError
from gkm.tracking import store
from gkm.tracking.records import Status, to_text

if TYPE_CHECKING:
    import numpy as np

_MLFLOW_STATUS = {"running": "RUNNING", "finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_LONGEST_TAG = 5000
_LONGEST_PARAMETER = 6000
_BATCH = 100
"""MLflow takes at most so many parameters or tags in one call."""


@dataclass(frozen=True)
class Runs:
    """MLflow runs of one experiment; a few strings, so that it travels. Each process opens the store when it needs it.

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
    def is_local(self) -> bool:
        """Whether the store is a file of this machine, out of reach for processes on others."""
        return store.sqlite_path(self.uri) is not None

    @property
    def ui_hint(self) -> str:
        """What a user opens or runs to look at the runs."""
        if store.is_server(self.uri):
            return self.address
        return f"mlflow ui --backend-store-uri {shlex.quote(self.address)}"

    def prepare(self) -> None:
        """Make the store and the experiment where they are missing, so that other processes find them ready."""
        _ = self.experiment_id

    def must_exist(self) -> None:
        """Raises InputError where the store is a database that is not there, rather than make an empty one."""
        path = store.sqlite_path(self.uri)
        if path is not None and not path.is_file():
            raise InputError(f"{path}: there is no tracking database; run a study first, or correct --workspace")

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment, made if it is missing."""
        return store.experiment_id(self.uri, self.experiment, self.artifacts)

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """One MlflowClient operation, tried again while another process has the database locked."""
        return store.patiently(getattr(store.client(self.uri), operation), *arguments, **keywords)

    # Writing and reading

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
        location = self.artifact_root(run_id)
        if location is None:
            self.call("log_artifact", run_id, str(path), folder)
            return
        if storage.is_remote(location):
            storage.upload(path, storage.join(location, *([folder] if folder else []), path.name))
            return
        root = Path(location)
        target = root / (folder or "") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # A process may be killed while it copies: the half copy stays outside the artifacts.
        partial = root.parent / f".{path.name}.{os.getpid()}"
        shutil.copyfile(path, partial)
        os.replace(partial, target)

    def log_folder(self, run_id: str, path: Path, folder: str) -> None:
        """Keep a copy of all files below `path` as artifacts under `folder`."""
        root = self.artifact_root(run_id)
        if root is not None and storage.is_remote(root):
            storage.upload_folder(path, storage.join(root, folder))
        else:
            self.call("log_artifacts", run_id, str(path), folder)

    def artifact_root(self, run_id: str) -> str | None:
        """Where a run's artifacts lie if that is on this machine or in S3, else None: a server passes them on."""
        address: str = self.call("get_run", run_id).info.artifact_uri
        uri = urlsplit(address)
        if uri.scheme == "file":
            return unquote(uri.path)
        return address if storage.is_remote(address) else None

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """Copy an artifact (a file or a folder) of a run to the folder `to`; returns where it lies then.

        Raises InputError where the run has no such artifact.
        """
        to.mkdir(parents=True, exist_ok=True)
        root = self.artifact_root(run_id)
        if root is not None and storage.is_remote(root):
            location, target = storage.join(root, artifact_path), to / artifact_path
            if not storage.exists(location):
                raise InputError(_missing(run_id, artifact_path))
            storage.fetch(location, target)
            return target
        try:
            return Path(self.call("download_artifacts", run_id, artifact_path, str(to)))
        except Exception as error:
            if not self._has_artifact(run_id, artifact_path):
                raise InputError(_missing(run_id, artifact_path)) from error
            raise

    def _has_artifact(self, run_id: str, artifact_path: str) -> bool:
        return any(
            entry.path == artifact_path for entry in self.call("list_artifacts", run_id, _folder_of(artifact_path))
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

    # Finding and making runs

    def find(self, tags: Mapping[str, str]) -> list[Any]:
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

    def adopt_or_create(self, tags: Mapping[str, str], run_name: str) -> tuple[Any, bool]:
        """The oldest run that carries `tags`, or a new one; and whether it was there already."""
        self.prepare()
        with store.only_process(self.uri):
            if runs := self.find(tags):
                return runs[0], True
            created = self.call("create_run", self.experiment_id, tags=dict(tags), run_name=run_name)
            if store.sqlite_path(self.uri):
                return created, False
        # A server knows no lock: of two runs made at once by two processes the older one stays.
        oldest = self.find(tags)[0]
        if oldest.info.run_id == created.info.run_id:
            return created, False
        self.call("delete_run", created.info.run_id)
        return oldest, True

    def log_parameters(self, run: Any, parameters: Mapping[str, object]) -> dict[str, str]:
        """Log the parameters the run lacks; returns those it has with another value."""
        from mlflow.entities import Param

        texts = {key: to_text(value)[:_LONGEST_PARAMETER] for key, value in parameters.items()}
        missing = [Param(key, text) for key, text in texts.items() if key not in run.data.params]
        for start in range(0, len(missing), _BATCH):
            self.call("log_batch", run.info.run_id, params=missing[start : start + _BATCH])
        return {key: text for key, text in texts.items() if run.data.params.get(key, text) != text}

    def mark_running(self, run: Any, tags: Mapping[str, str]) -> None:
        """Set `tags`, and take back what an earlier end of the run left."""
        self.set_tags(run.info.run_id, {**tags, "gkm.status": "running"})
        if "gkm.reason" in run.data.tags:
            self.call("delete_tag", run.info.run_id, "gkm.reason")
        if run.info.status != "RUNNING":
            self.call("update_run", run.info.run_id, status="RUNNING")


def _missing(run_id: str, artifact_path: str) -> str:
    return f"run {run_id}: keeps no {artifact_path}; the trial ended before it was written, or it was deleted"


def _folder_of(name: str) -> str | None:
    return name.rpartition("/")[0] or None


def _quoted(value: str) -> str:
    """`value` as text in an MLflow filter, which knows no escapes."""
    for quote in ("'", '"'):
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise InputError(f"{value}: a name cannot hold both kinds of quotation marks; choose another name")
