"""Studies looked at from outside: listed, found, asked to stop; damaged ones do not hide the others."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from gkm.errors import InputError
from gkm.study.record import lease
from gkm.study.record.archive import read_entries, read_entry, read_results, stop_study, viewers
from gkm.study.record.record import RecordPlace
from tests.unit.study.archived import make_study


@pytest.fixture(params=["folder", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> RecordPlace:
    return RecordPlace(str(tmp_path / "studies") if request.param == "folder" else f"sqlite:///{tmp_path}/studies.db")


def test_studies_are_listed_newest_first_with_their_drivers(place: RecordPlace) -> None:
    make_study(place, "first", {"a": [[30.0, 31.0, 32.0]], "b": [[30.0, 31.0, 32.0]]})
    second = make_study(place, "second", {"a": [[30.0, 31.0, 32.0]]}, state="running")
    second.set(created=time.time() + 5)
    with second.held():
        entries = read_entries(place)
        assert [entry.name for entry in entries] == ["second", "first"]
        assert entries[0].holder is not None
        assert entries[0].results is not None
        assert entries[0].results.status == "running"
    assert entries[1].created is not None
    assert datetime.now() - entries[1].created < timedelta(minutes=1)
    assert read_entry(place, "second").holder is None
    assert read_results(place, "second").status == "interrupted"


def test_a_record_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    place = RecordPlace(str(tmp_path))
    make_study(place, "good", {"a": [[30.0, 31.0, 32.0]]})
    (tmp_path / "bad.journal").write_text('{"some": 1}\n{"other": 2}\n')
    (tmp_path / "empty.journal").touch()
    optuna.create_study(
        study_name="foreign", storage=JournalStorage(JournalFileBackend(str(tmp_path / "foreign.journal")))
    ).enqueue_trial({"x": 1})
    entries = {entry.name: entry for entry in read_entries(place)}
    assert entries["good"].results is not None
    assert "damaged" in str(entries["bad"].trouble)
    assert "its record is empty" in str(entries["empty"].trouble)
    assert "not one of gkm" in str(entries["foreign"].trouble)


@contextmanager
def _a_visitor(folder: Path) -> Iterator[None]:
    """Somebody who may read the files in `folder`, but not write them."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_who_may_only_read_a_record_may_look_at_it() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = RecordPlace(folder)
        record = make_study(place, "first", {"a": [[30.0, 31.0, 32.0]]}, state="running")
        with record.held(), _a_visitor(Path(folder)):
            (entry,) = read_entries(place)
            assert entry.holder is not None
            with pytest.raises(InputError, match=r"cannot be asked to stop \(Permission denied\); ask as the user who"):
                stop_study(place, "first", 1)
        Path(folder).chmod(0o755)


def test_an_unknown_study_is_refused_with_those_that_are_there(place: RecordPlace) -> None:
    make_study(place, "first", {"a": [[30.0, 31.0, 32.0]]})
    for read in (read_entry, read_results):
        with pytest.raises(InputError, match=r"study none: .*\(there: first\)"):
            read(place, "none")
    with pytest.raises(InputError, match="no name for a study"):
        read_entry(place, "../first")


def test_a_driver_that_is_asked_to_stop_hears_of_it(place: RecordPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    record = make_study(place, "s", {"a": [[30.0, 31.0, 32.0]]}, state="running")
    held, told = threading.Event(), []

    def drive() -> None:
        with record.held() as own:
            held.set()
            while not own.stop_wanted:
                time.sleep(0.02)

    driver = threading.Thread(target=drive)
    driver.start()
    held.wait(10)
    stopped = stop_study(place, "s", 20, lambda holder: told.append(str(holder)))
    driver.join(10)
    assert stopped.holder is not None
    assert told == [str(stopped.holder)]
    assert stopped.seconds < 10
    assert stop_study(place, "s", 1).holder is None, "nobody runs it any more"


def test_a_driver_that_does_not_end_in_time_is_named(place: RecordPlace) -> None:
    record = make_study(place, "s", {"a": [[30.0, 31.0, 32.0]]}, state="running")
    with record.held() as own, pytest.raises(InputError, match=rf"study s: {own.holder} has not ended within 0\.1 s"):
        stop_study(place, "s", 0.1)


def test_the_printed_python_opens_the_record(place: RecordPlace) -> None:
    make_study(place, "s", {"a": [[30.0, 31.0, 33.5]]})
    opened = eval(viewers(place, "s")["python"], {"optuna": optuna})
    assert opened.best_value == 31.5
