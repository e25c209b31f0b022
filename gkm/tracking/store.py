"""A workspace or URI in, an open MLflow client out, safe for several processes on one sqlite store."""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import random
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gkm import storage
from gkm.errors import InputError
from gkm.tracking import tables
from gkm.tracking.address import redacted, sqlite_path
from gkm.tracking.health import check, explained

LOCKED_SECONDS = 120.0
"""How long an operation is tried again while other processes keep the database locked."""
_PASSING = re.compile(r"is locked|UNIQUE constraint failed: datasets\.|unique constraint \"dataset")
"""What databases say that is over with the next try."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a registered model is not the project it was trained from
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
    # A call that gets no answer fails within seconds (MLflow's own defaults: many minutes); who can wait tries again.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""Read by MLflow when it is imported, which may happen in many places after this one; the user's own values win."""
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

_opened_files: dict[str, tuple[int, int]] = {}
"""sqlite URI -> device and inode of the file that this process has open."""
_reopened: dict[str, int] = {}
"""sqlite URI -> how often its file was gone and had to be made anew."""


def default_tracking_uri(workspace: Path) -> str:
    """`MLFLOW_TRACKING_URI` where it is set, else the sqlite store `mlflow.db` of the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"


@functools.cache
def client(uri: str) -> Any:
    """The MlflowClient of this process for `uri`; makes the tables of a new database.

    Raises InputError where there is no store that can be used, TrackingAwayError where there may be one later.
    """
    check(uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.client import MlflowClient

    for name in ("mlflow.store.db.utils", "alembic", "urllib3.connectionpool"):
        # A locked database, or a broken connection, is logged before we try again; what fails for good is raised.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with only_process(uri), warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        try:
            if (path := sqlite_path(uri)) is not None:
                tables.complete(path)
            spelt = _spelt(uri)
            opened = MlflowClient(spelt, spelt)
            patiently(opened.search_experiments, max_results=1)
        except MlflowException as error:
            raise explained(uri, error) from error
    if (file := _file(uri)) is not None:
        _opened_files[uri] = file
    return opened


def is_replaced(uri: str) -> bool:
    """Whether the file of a sqlite store is not the one that this process has open: it was deleted, or exchanged."""
    return uri in _opened_files and _file(uri) != _opened_files[uri]


def forget(uri: str) -> None:
    """Let the next use of `uri` open it anew, with new tables where its file was deleted."""
    if _opened_files.pop(uri, None) is not None:
        _reopened[uri] = _reopened.get(uri, 0) + 1
    client.cache_clear()
    experiment_id.cache_clear()


def _spelt(uri: str) -> str:
    """`uri`, spelt so that MLflow does not know it yet: it keeps connections by URI for as long as a process lives."""
    path, times = sqlite_path(uri), _reopened.get(uri, 0)
    return uri if path is None or not times else f"sqlite:///{path.parent}{'/.' * times}/{path.name}"


def _file(uri: str) -> tuple[int, int] | None:
    path = sqlite_path(uri)
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@functools.cache
def experiment_id(uri: str, name: str, artifacts: str | None) -> str:
    """MLflow's id of the experiment `name`, made if it is missing, with its files under the folder `artifacts`."""
    from mlflow.exceptions import MlflowException

    store = client(uri)
    location = artifacts if artifacts is None or storage.is_remote(artifacts) else Path(artifacts).absolute().as_uri()
    with only_process(uri):
        found = patiently(store.get_experiment_by_name, name)
        if found is None:
            if location and storage.is_remote(location):
                storage.exists(location)  # a place that cannot be used must not be recorded for good
            try:
                return str(patiently(store.create_experiment, name, artifact_location=location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = patiently(store.get_experiment_by_name, name)
    if found.lifecycle_stage != "active":
        raise InputError(
            f"{redacted(uri)}: the experiment {name} was deleted; bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    if location and storage.is_remote(location) and found.artifact_location != location:
        # Places on this machine may differ: the workspace may have been moved.
        raise InputError(
            f"{redacted(uri)}: keeps its files in {redacted(found.artifact_location)}, which cannot be changed to "
            f"{location}; give the same --storage as before, or another --workspace"
        )
    return str(found.experiment_id)


def patiently(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    """The result of `operation`, tried again for `LOCKED_SECONDS` while another process has the database locked.

    Also where another process named the same data set at the same moment: the next try finds it named.
    """
    from mlflow.exceptions import MlflowException

    deadline = time.monotonic() + LOCKED_SECONDS
    pause = 0.02
    while True:
        try:
            return operation(*arguments, **keywords)
        except MlflowException as error:
            if not _PASSING.search(str(error)) or time.monotonic() > deadline:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(2 * pause, 2.0)


@contextmanager
def only_process(uri: str) -> Iterator[None]:
    """Keeps other processes of this machine out of a sqlite store's find-or-create; free for other stores.

    The lock is the file beside the database with ".lock" appended; the system releases it when a process dies. It does
    not nest.
    """
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
