"""A tracking URI, or what MLflow raised, in; whether the store can be used, and if not why, out.

Every failure that a user can fix (no server there, no database, a folder that cannot be written) is found here, before
MLflow would retry it for minutes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gkm.errors import InputError
from gkm.tracking.address import is_server, redacted, sqlite_path

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SAID = {
    "database or disk is full": "its disk is full",
    "No space left on device": "its disk is full",
    "readonly database": "its database cannot be written",
    "unable to open database file": "its database cannot be opened",
    "disk I/O error": "its disk fails",
    "is locked": "another process keeps its database locked",
    "Connection refused": "connection refused",
    "timed out": "no answer in time",
    "timeout exception": "no answer in time",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_PASSING_CODES = {
    "TEMPORARILY_UNAVAILABLE": "it is overloaded",
    "REQUEST_LIMIT_EXCEEDED": "it admits no more requests now",
    "PERMISSION_DENIED": "it refuses this user",
    "UNAUTHENTICATED": "it refuses this user",
    "CUSTOMER_UNAUTHORIZED": "it refuses this user",
}
_MISSING_CODES = ("RESOURCE_DOES_NOT_EXIST",)


class TrackingAwayError(InputError):
    """MLflow cannot be reached, or cannot write: nothing is wrong with what was asked, and it may work later."""

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message
        """The reason alone, to be put into a sentence."""


def as_away(uri: str, error: BaseException) -> TrackingAwayError | None:
    """What MLflow, or writing artifacts, raised, as TrackingAwayError if that is what it means; None for any other."""
    if isinstance(error, TrackingAwayError):
        return error
    if is_missing(error):
        return None
    why = _why(uri, error)
    return None if why is None else TrackingAwayError(f"{redacted(uri)}: MLflow cannot be used now ({why})", why)


def is_missing(error: BaseException) -> bool:
    """Whether an error says that a run, an experiment, or the tables themselves are not there any more."""
    text = str(error)
    return (
        getattr(error, "error_code", "") in _MISSING_CODES
        or "must be in the 'active' state" in text
        or "no such table" in text
    )


def _why(uri: str, error: BaseException) -> str | None:
    text = str(error)
    for said, why in _SAID.items():
        if said in text:
            return why
    for cause in causes(error):
        if (found := _why_cause(cause)) is not None:
            return found
    status = _status(error)
    if is_server(uri) and (status >= 500 or "failed with exception" in text or "error code 5" in text):
        return f"HTTP {status}" if status >= 500 else "no connection"
    return None


def _why_cause(error: BaseException) -> str | None:
    kind = type(error)
    if isinstance(error, OSError) and error.errno in _FULL:
        return "its disk is full"
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return f"{error.filename or 'its folder'} cannot be written"
    if isinstance(error, ConnectionError | TimeoutError) or kind.__module__ == "requests.exceptions":
        return _of_response(error)
    if kind.__module__.startswith("sqlalchemy.") and kind.__name__ in _LOST_DATABASE:
        return "its database does not answer"
    return _PASSING_CODES.get(getattr(error, "error_code", ""))


_LOST_DATABASE = ("OperationalError", "InterfaceError", "TimeoutError")


def _of_response(error: BaseException) -> str | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return "no connection"
    passing = status >= 500 or status in (401, 403, 408, 429)
    return f"HTTP {status}" if passing else None


def _status(error: BaseException) -> int:
    get: Any = getattr(error, "get_http_status_code", None)
    return int(get()) if get is not None else 0


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it comes from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def check(uri: str) -> None:
    """Raises InputError where opening `uri` is bound to fail, TrackingAwayError where it may work later."""
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
        raise TrackingAwayError(
            f"{path}: the tracking database cannot be written ({error.strerror}); choose another --workspace",
            f"its database cannot be written: {error.strerror}",
        ) from None
    if start and not start.startswith(b"SQLite format 3"):
        raise InputError(f"{path}: is no sqlite database; move it away or choose another --workspace")


def _check_server(uri: str) -> None:
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=10)
    except requests.exceptions.SSLError:
        return  # answers, and MLflow has settings of its own for certificates
    except (requests.exceptions.RequestException, OSError) as error:
        raise TrackingAwayError(
            f"{redacted(uri)}: no MLflow server answers there; start one with `mlflow server`, correct the address, "
            "or leave --tracking-uri and MLFLOW_TRACKING_URI out to use the workspace",
            _why(uri, error) or "no connection",
        ) from None


def explained(uri: str, error: Any) -> Exception:
    """An InputError for what a user can mend, else `error` itself."""
    if "out-of-date database schema" in str(error):
        return InputError(
            f"{redacted(uri)}: was written by another version of MLflow; take a copy of it, then run "
            f"`mlflow db upgrade {redacted(uri)}`"
        )
    if getattr(error, "error_code", "") in {"PERMISSION_DENIED", "UNAUTHENTICATED"}:
        return TrackingAwayError(
            f"{redacted(uri)}: the server refuses this user; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN",
            "it refuses this user",
        )
    if away := as_away(uri, error):
        return away
    return error if isinstance(error, Exception) else RuntimeError(str(error))
