"""A URI and the name of an experiment in; MLflow's calls, and the links a user opens, out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gkm.errors import InputError
from gkm.tracking import store
from gkm.tracking.address import is_server, redacted, sqlite_path
from gkm.tracking.client import Client, through
from gkm.tracking.health import as_away


@dataclass(frozen=True)
class Connection:
    """One experiment of a store; a few strings, so that it travels. Each process opens the store when it needs it.

    Methods raise InputError where the store cannot be opened or used, TrackingAwayError (one of these) where it does
    not answer or cannot write, and MLflow's own exceptions otherwise.
    """

    uri: str = field(repr=False)
    artifacts: str | None = None
    """Where runs keep their files; None: where the server was told to."""
    experiment: str = "gkm"

    @property
    def address(self) -> str:
        """The URI without passwords, fit for printing."""
        return redacted(self.uri)

    @property
    def is_local(self) -> bool:
        """Whether the store is a file of this machine, out of reach for processes on others."""
        return sqlite_path(self.uri) is not None

    @property
    def ui_hint(self) -> str:
        """What a user opens or runs to look at the runs."""
        if is_server(self.uri):
            return self.address
        return f"mlflow ui --backend-store-uri {shlex.quote(self.address)}"

    def ui_link(self, run_id: str | None = None, study: str | None = None) -> str:
        """Where to look at a run, at the runs of a study, or at all: a link, after the command that a database needs.

        The name of an experiment that is not known yet costs one call.
        """
        path = f"#/experiments/{self.experiment_id}/runs"
        if run_id is not None:
            path += f"/{run_id}"
        else:
            path += "?workflowType=machine_learning"
            if study is not None:
                path += f"&searchFilter={quote(f'tags.`gkm.study` = {quoted(study)}', safe='')}"
        if is_server(self.uri):
            return f"{self.address.rstrip('/')}/{path}"
        return f"{self.ui_hint}, then http://127.0.0.1:5000/{path}"

    def prepare(self) -> None:
        """Make the store and the experiment where they are missing, so that other processes find them ready."""
        _ = self.experiment_id

    def must_exist(self) -> None:
        """Raises InputError where the store is a database that is not there, rather than make an empty one."""
        path = sqlite_path(self.uri)
        if path is not None and not path.is_file():
            raise InputError(f"{path}: there is no tracking database; run a study first, or correct --workspace")

    def stamp(self) -> tuple[tuple[int, int] | None, ...] | None:
        """What changes when anything is written to the store: size and time of its files. None where it is no file."""
        path = sqlite_path(self.uri)
        if path is None:
            return None
        files = (path, path.with_name(f"{path.name}-wal"))
        return tuple((file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else None for file in files)

    @property
    def is_replaced(self) -> bool:
        """Whether the store's file was deleted or exchanged since this process opened it; see `reopen`."""
        return store.is_replaced(self.uri)

    def reopen(self) -> None:
        """Forget what is known of the store: its next use makes what is missing."""
        store.forget(self.uri)

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment, made if it is missing."""
        try:
            return store.experiment_id(self.uri, self.experiment, self.artifacts)
        except Exception as error:
            if (away := as_away(self.uri, error)) is not None:
                raise away from error
            raise

    @property
    def client(self) -> Client:
        """MLflow's client; each of its operations passes through `call`."""
        return through(self.call)

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """One MlflowClient operation, tried again while another process has the database locked."""
        try:
            return store.patiently(getattr(store.client(self.uri), operation), *arguments, **keywords)
        except Exception as error:
            if (away := as_away(self.uri, error)) is not None:
                raise away from error
            raise


def quoted(value: str) -> str:
    """`value` as text in an MLflow filter, which knows no escapes."""
    for quote_ in ("'", '"'):
        if quote_ not in value:
            return f"{quote_}{value}{quote_}"
    raise InputError(f"{value}: a name cannot hold both kinds of quotation marks; choose another name")
