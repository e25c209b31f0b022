"""Where leases are kept: beside a record that is a file, or in the database that has the record."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol


@dataclass(frozen=True)
class Holder:
    """Who runs a study."""

    host: str
    process: int
    started: str
    """When it began to, in local time: "2026-01-31 12:00:05"."""
    token: str
    beat: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.started}"

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        if not self.is_here:
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _is_zombie(self.process)


class LeaseStore(Protocol):
    """Where a lease is kept; a backend for files and one for databases."""

    def holder(self) -> Holder | None:
        """Who holds the lease, or held it without giving it back."""

    def replace(self, seen: Holder | None, new: Holder | None) -> bool:
        """Put `new` (None: nobody) in the place of `seen`; False where another one is there by now."""

    def stop_wanted(self) -> bool:
        """Whether someone asked the holder to stop."""

    def want_stop(self) -> None:
        """Ask the holder to stop."""


class FileLease:
    """A lease in the file `path`, beside the record's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def holder(self) -> Holder | None:
        try:
            return _read(self._path.read_text(encoding="utf-8"))
        except OSError:
            return None

    def is_locked(self) -> bool:
        """Whether a living process of this machine holds the file."""
        if not self._path.exists():
            return False
        with self._path.open() as file:  # whoever may read it may look
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(file, fcntl.LOCK_UN)
        return False

    def replace(self, seen: Holder | None, new: Holder | None) -> bool:
        file = self._file or self._locked()
        if file is None:
            return False
        self._file = file
        file.seek(0)
        if _token(_read(file.read())) != _token(seen):
            self._close()
            return False
        if _token(new) != _token(seen):  # what was asked of one holder is not asked of the next
            self._stop_path.unlink(missing_ok=True)
        text = json.dumps(asdict(new)) if new else ""
        file.seek(0)
        file.write(text)
        file.truncate()
        file.flush()
        if new is None:
            self._close()
        return True

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def stop_wanted(self) -> bool:
        return self._stop_path.exists()

    def want_stop(self) -> None:
        self._stop_path.touch()

    @property
    def _stop_path(self) -> Path:
        return self._path.with_suffix(".stop")

    def _locked(self) -> IO[str] | None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


class DatabaseLease:
    """A lease in the table `gkm_leases` of the record's database."""

    def __init__(self, engine: Any, study: str) -> None:
        import sqlalchemy as sql

        self._sql, self._engine, self._study = sql, engine, study
        self._table = sql.Table(
            "gkm_leases",
            sql.MetaData(),
            sql.Column("study", sql.String(255), primary_key=True),
            sql.Column("token", sql.String(64), nullable=False, default=""),
            sql.Column("holder", sql.Text, nullable=False, default=""),
            sql.Column("stop", sql.Boolean, nullable=False, default=False),
        )
        self._table.metadata.create_all(engine, checkfirst=True)

    def holder(self) -> Holder | None:
        row = self._row()
        return None if row is None else _read(row.holder)

    def replace(self, seen: Holder | None, new: Holder | None) -> bool:
        table, sql = self._table, self._sql
        with self._engine.begin() as connection:
            mine = table.c.study == self._study
            if connection.execute(sql.select(table.c.study).where(mine)).first() is None:
                with contextlib.suppress(sql.exc.IntegrityError), connection.begin_nested():
                    connection.execute(sql.insert(table).values(study=self._study, token="", holder="", stop=False))
            values: dict[str, Any] = {"token": _token(new), "holder": json.dumps(asdict(new)) if new else ""}
            if seen is None or new is None or seen.token != new.token:
                values["stop"] = False
            changed = connection.execute(sql.update(table).where(mine, table.c.token == _token(seen)).values(**values))
            return bool(changed.rowcount == 1)

    def stop_wanted(self) -> bool:
        row = self._row()
        return row is not None and bool(row.stop)

    def want_stop(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                self._sql.update(self._table).where(self._table.c.study == self._study).values(stop=True)
            )

    def _row(self) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(self._sql.select(self._table).where(self._table.c.study == self._study)).first()


def _read(text: str) -> Holder | None:
    try:
        return Holder(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None  # half written when its holder died


def _token(holder: Holder | None) -> str:
    return holder.token if holder else ""


def _is_zombie(process: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
