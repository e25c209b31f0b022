"""A workspace or URI in, an open MLflow client out, safe for several processes on one sqlite store.

Every failure a user can mend (no server there, no database, a folder that cannot be written) is found here, before
MLflow would retry it for minutes.
"""

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
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gkm import storage
from gkm.errors import InputError

if TYPE_CHECKING:
    from gkm.tracking.studies import Tracking

LOCKED_SECONDS = 120.0
"""How long an operation is tried again while other processes keep the database locked."""
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a registered model is not the project it was trained from
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Read by MLflow when it is imported, which may happen in many places after this one; the user's own values win."""
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)


def default_tracking_uri(workspace: Path) -> str:
    """`MLFLOW_TRACKING_URI` where it is set, else the sqlite store `mlflow.db` of the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"


def open_tracking(workspace: Path, uri: str | None = None, files: str | None = None) -> Tracking:
    """The tracking of a workspace: at `uri` where one is given, else at `default_tracking_uri`.

    A server keeps artifacts where it was told to; for a database they go to `artifacts` in the location `files`, or
    else in the workspace. Nothing is opened yet; see `Tracking.prepare`.
    """
    from gkm.tracking.studies import Tracking

    uri = uri or default_tracking_uri(workspace)
    if path := sqlite_path(uri):
        uri = f"sqlite:///{path.absolute()}"
    artifacts = storage.join(storage.absolute(files) if files else workspace.absolute(), "artifacts")
    return Tracking(uri, None if is_server(uri) else artifacts)


def is_server(uri: str) -> bool:
    """Whether `uri` is an MLflow server's rather than a database's."""
    return urlsplit(uri).scheme in {"http", "https"}


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite URI, None for other stores."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def redacted(text: str) -> str:
    """`text` with the passwords of URIs, and the values of secret-looking query parameters, blotted out."""
    text = re.sub(r"(?<=://)[^/\s@]+@", "***@", text)
    return re.sub(r"(?i)([?&][\w-]*(?:password|token|secret|signature|credential|key)[\w-]*=)[^&\s]+", r"\1***", text)


@functools.cache
def client(uri: str) -> Any:
    """The MlflowClient of this process for `uri`; makes the tables of a new database.

    Raises InputError where there is no store that can be used.
    """
    _check(uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.client import MlflowClient

    for name in ("mlflow.store.db.utils", "alembic"):
        # A locked database is logged with a traceback before we try again; what fails for good is raised.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with only_process(uri), warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        try:
            opened = MlflowClient(uri, uri)
            patiently(opened.search_experiments, max_results=1)
        except MlflowException as error:
            raise _explained(uri, error) from error
    return opened


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
    """The result of `operation`, tried again for `LOCKED_SECONDS` while another process has the database locked."""
    from mlflow.exceptions import MlflowException

    deadline = time.monotonic() + LOCKED_SECONDS
    pause = 0.02
    while True:
        try:
            return operation(*arguments, **keywords)
        except MlflowException as error:
            if "is locked" not in str(error) or time.monotonic() > deadline:
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


def _check(uri: str) -> None:
    """Raises InputError where opening `uri` is bound to fail."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if path := sqlite_path(uri):
        _check_database(path)
    elif is_server(uri):
        _check_server(uri)
    elif scheme not in _DATABASES and not scheme.startswith("databricks"):
        raise InputError(
            f"{redacted(uri)}: is no tracking address; give a server (http://host:5000) or a database "
            "(sqlite:///folder/mlflow.db), or leave --tracking-uri and MLFLOW_TRACKING_URI out"
        )


def _check_database(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as database:
            database.seek(0)
            start = database.read(16)
    except OSError as error:
        raise InputError(
            f"{path}: the tracking database cannot be written ({error.strerror}); choose another --workspace"
        ) from None
    if start and not start.startswith(b"SQLite format 3"):
        raise InputError(f"{path}: is no sqlite database; move it away or choose another --workspace")


def _check_server(uri: str) -> None:
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=10)
    except requests.exceptions.SSLError:
        return  # answers, and MLflow has settings of its own for certificates
    except (requests.exceptions.RequestException, OSError):
        raise InputError(
            f"{redacted(uri)}: no MLflow server answers there; start one with `mlflow server`, correct the address, "
            "or leave --tracking-uri and MLFLOW_TRACKING_URI out to use the workspace"
        ) from None


def _explained(uri: str, error: Any) -> Exception:
    """An InputError for what a user can mend, else `error` itself."""
    if "out-of-date database schema" in str(error):
        return InputError(
            f"{redacted(uri)}: was written by another version of MLflow; take a copy of it, then run "
            f"`mlflow db upgrade {redacted(uri)}`"
        )
    if getattr(error, "error_code", "") in {"PERMISSION_DENIED", "UNAUTHENTICATED"}:
        return InputError(
            f"{redacted(uri)}: the server refuses this user; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN"
        )
    return error if isinstance(error, Exception) else RuntimeError(str(error))
