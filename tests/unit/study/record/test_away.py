"""A database that is away for a while: connections wait, for so long and no longer."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy

from gkm.study.record.away import PATIENCE_SECONDS, Patient, wait_where_away
from gkm.study.record.record_place import RecordError, explaining


class DownError(Exception):
    pass


class Database:
    """Answers from the time `back` on."""

    def __init__(self, back: float) -> None:
        self.now, self.tries, self.back = 0.0, 0, back
        self.loaded_dbapi = SimpleNamespace(OperationalError=DownError)

    def connect(self, host: str, *, port: int) -> tuple[str, int]:
        self.tries += 1
        if self.now < self.back:
            raise DownError("connection refused")
        return host, port

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def patient(database: Database) -> Patient:
    return Patient("postgresql://host/studies", lambda: database.now, database.sleep)


def test_one_that_comes_back_is_waited_for_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    database = Database(back=7)
    with caplog.at_level(logging.WARNING):
        assert patient(database)(database, None, ["host"], {"port": 5}) == ("host", 5)
    assert 7 <= database.now < 9.5
    assert [record.getMessage() for record in caplog.records] == [
        "the record's database postgresql://host/studies does not answer; trying for 60 s"
    ]


def test_one_that_answers_is_asked_once_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    database = Database(back=0)
    patient(database)(database, None, ["host"], {"port": 5})
    assert (database.tries, caplog.records) == (1, [])


def test_patience_ends() -> None:
    """What comes after, as the lease that is given back, waits no more, until the database has answered once."""
    database = Database(back=100)
    connect = patient(database)
    with pytest.raises(DownError, match="connection refused"):
        connect(database, None, ["host"], {"port": 5})
    assert PATIENCE_SECONDS <= database.now < PATIENCE_SECONDS + 3
    assert database.tries < 50
    ended = database.now
    with pytest.raises(DownError):
        connect(database, None, ["host"], {"port": 5})
    assert database.now == ended
    database.now = 101
    assert connect(database, None, ["host"], {"port": 5}) == ("host", 5)
    database.back = 110
    assert connect(database, None, ["host"], {"port": 5}) == ("host", 5)


def test_a_real_engine_connects_by_it(tmp_path: Any) -> None:
    """Its first connection fails, for the folder is not there yet."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/folder/record.db", pool_pre_ping=True)
    wait_where_away(engine, "sqlite:///record.db")
    began = time.monotonic()
    threading.Timer(0.5, (tmp_path / "folder").mkdir).start()
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    assert time.monotonic() - began >= 0.5
    engine.dispose()


@pytest.mark.parametrize(("kind", "helps"), [("OperationalError", True), ("DataError", False)])
def test_only_of_one_that_does_not_answer_is_said_that_the_same_command_helps(kind: str, helps: bool) -> None:
    cause = getattr(sqlalchemy.exc, kind)("INSERT", {}, Exception("why"))
    with pytest.raises(RecordError) as raised, explaining("postgresql://host/studies"):
        raise optuna.exceptions.StorageInternalError("in the commit") from cause
    assert str(raised.value).endswith("; the same command goes on once it answers") == helps
