"""The path of a sqlite store in; MLflow's tables in it, all of them or none, out.

MLflow makes its tables by some fifty migrations, one after the other. A process that ends in the middle of them leaves
a database that nobody can open, so they are made in a file beside it, which then takes its place.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

from gkm.errors import InputError

_KEPT = ("experiments", "runs", "registered_models")
"""Tables of which one has a row in every database that was ever opened: at the end MLflow makes an experiment."""
LOCKED_SECONDS = 10.0
_JOURNALS = ("-journal", "-wal", "-shm")


def complete(path: Path) -> None:
    """Give `path` MLflow's tables, if it is missing, empty, or was left with a part of them.

    A database with anything in it, MLflow's or another program's, is left as it is. One process at a time may call it.
    """
    if not _is_unused(path):
        return
    made = path.with_name(f"{path.name}.new")
    _remove(made)
    try:
        make(made, (path.parent / "artifacts").absolute().as_uri())
        for ending in _JOURNALS:  # of the one it takes the place of: they must not be taken for its own
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        os.replace(made, path)
    finally:
        _remove(made)


def make(path: Path, artifacts: str) -> None:
    """A new database with all of MLflow's tables, which keeps artifacts at the address `artifacts`; takes seconds."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{path}", artifacts)
    store.engine.dispose()


def _is_unused(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return True
    try:
        with closing(sqlite3.connect(path, LOCKED_SECONDS)) as database:  # also takes back what a killed process began
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and "experiments" not in tables:
                return False
            kept = [f"EXISTS (SELECT 1 FROM {table})" for table in _KEPT if table in tables]
            return not kept or not database.execute(f"SELECT {' OR '.join(kept)}").fetchone()[0]
    except sqlite3.OperationalError:  # locked, or on a disk that fails: MLflow will say so, or wait
        return False
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: cannot be read ({error}); move it away or choose another --workspace") from None


def _remove(path: Path) -> None:
    for ending in ("", *_JOURNALS):
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
