"""Where records of studies are kept: a folder or a database in, Optuna's storages and the leases of studies out."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from gkm.errors import InputError
from gkm.study.record.away import wait_where_away
from gkm.study.record.lease import DatabaseLease, FileLease, LeaseStore

_SUFFIX = ".journal"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class RecordError(RuntimeError):
    """The record cannot be written: a full disk, or a database that is away. Nothing that was recorded is lost."""


@dataclass(frozen=True)
class RecordPlace:
    """Where records are kept: a folder of journal files, one a study, or one database for all."""

    url: str
    """A folder, or an SQLAlchemy URL such as postgresql://user@host/studies or sqlite:///file."""

    @property
    def is_database(self) -> bool:
        return "://" in self.url

    def journal(self, name: str) -> Path:
        """The file of a study's record."""
        return Path(self.url) / f"{name}{_SUFFIX}"

    def address(self, name: str) -> str:
        """Where a study's record is, without passwords."""
        from gkm.tracking import redacted

        return redacted(self.url) if self.is_database else str(self.journal(name))

    def storage(self, name: str, create: bool = False) -> BaseStorage | None:
        """Optuna's storage with the record of `name`, None where there is none yet; InputError where it is unusable."""
        if self.is_database:
            return _database(self.url)
        path = self.journal(name)
        if not path.exists() and not create:
            return None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(path), lock_obj=_HeldLock()))
        except OSError as error:
            raise InputError(
                f"{path}: the record cannot be opened ({error.strerror}); choose another --workspace"
            ) from None
        except (ValueError, KeyError, AssertionError) as error:
            raise InputError(
                f"{path}: the record is damaged ({str(error)[:120]}); put a copy back, or move it away: "
                "it is then made anew from MLflow"
            ) from None

    def lease(self, name: str) -> LeaseStore:
        """The lease of a study."""
        if not self.is_database:
            return FileLease(self.journal(name).with_suffix(".lease"))
        store = _database(self.url)
        return DatabaseLease(store.engine, name)

    def names(self) -> list[str]:
        """The studies on record, by name."""
        if self.is_database:
            return sorted(study.study_name for study in _database(self.url).get_all_studies())
        folder = Path(self.url)
        return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []


def check_name(name: str) -> str:
    """`name`; InputError where it is no name for a study."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a study: use letters, digits, '.', '_' and '-', up to 120, beginning with a "
            "letter or digit"
        )
    return name


def repair(place: RecordPlace, name: str) -> None:
    """Cut off the half line that a full disk or a killed driver may have left; for the holder of the lease alone."""
    path = place.journal(name)
    if place.is_database or not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            file.truncate(end)


class _HeldLock(JournalFileOpenLock):  # type: ignore[misc]
    """No lock of its own: only the holder of the study's lease writes."""

    def __init__(self) -> None:
        pass

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


_databases: dict[str, RDBStorage] = {}


def _database(url: str) -> RDBStorage:
    """The storage of this process for `url`; InputError where it cannot be opened."""
    if url not in _databases:
        from gkm.tracking import redacted

        try:
            with warnings.catch_warnings(action="ignore"):
                store = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            reason = redacted(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
            raise InputError(
                f"{redacted(url)}: the record's database cannot be opened ({reason}); correct --record, "
                "or leave it out to keep the record in the workspace"
            ) from None
        if store.engine.dialect.name != "sqlite":
            wait_where_away(store.engine, redacted(url))  # from now on: a wrong address or password is said at once
        _databases[url] = store
    return _databases[url]


@contextmanager
def explaining(address: str) -> Iterator[None]:
    """Turns what a storage raises when it cannot be read or written into one sentence."""
    try:
        yield
    except OSError as error:
        raise RecordError(f"{address}: the record cannot be written ({error.strerror or error}); make room") from error
    except (optuna.exceptions.StorageInternalError, json.JSONDecodeError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0][:200]
        is_away = type(error.__cause__).__name__ == "OperationalError"  # SQLAlchemy's, which a journal does not import
        then = "; the same command goes on once it answers" if is_away else ""
        raise RecordError(f"{address}: the record cannot be used ({reason}){then}") from error
