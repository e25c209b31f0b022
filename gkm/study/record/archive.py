"""Where records are kept in; the studies there, to be looked at and stopped, out. Nothing here runs a trial.

A record is read without its lease: it may belong to a study that is being run at this moment.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from gkm.errors import InputError
from gkm.study.record.lease import Holder, is_alive
from gkm.study.record.record import Record, RecordError, RecordPlace, check_name, load_study, open_record
from gkm.study.record.results import StudyResults

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Entry:
    """A study on record."""

    name: str
    results: StudyResults | None = None
    """None where the record cannot be read."""
    created: datetime | None = None
    """In local time."""
    holder: Holder | None = None
    """The driver that runs it now."""
    trouble: str | None = None
    """Why the record cannot be read."""


@dataclass(frozen=True)
class Stopped:
    """What became of a request to stop."""

    holder: Holder | None
    """The driver that was asked; None where nobody ran the study."""
    seconds: float = 0.0
    """How long it took to end."""


def read_entry(place: RecordPlace, name: str) -> Entry:
    """The study `name`; InputError where there is none, or it cannot be read."""
    with _in_a_sentence():
        record = _known(place, name)
        holder = record.holder()
        created = record.attributes.get("gkm:created")
        return Entry(name, record.results(), datetime.fromtimestamp(float(created)) if created else None, holder)


def read_results(place: RecordPlace, name: str) -> StudyResults:
    """The trials of the study `name`; InputError where there is none, or it cannot be read."""
    with _in_a_sentence():
        return load_study(place, name)


def read_entries(place: RecordPlace) -> list[Entry]:
    """All studies, the newest first; those that cannot be read at the end, with the reason."""
    entries = []
    with _in_a_sentence():
        names = place.names()
    for name in names:
        try:
            entries.append(read_entry(place, name))
        except InputError as error:
            entries.append(Entry(name, trouble=str(error)))
    return sorted(entries, key=lambda entry: (entry.created is None, _age(entry), entry.name))


def stop_study(
    place: RecordPlace, name: str, wait_seconds: float, asked: Callable[[Holder], None] = lambda holder: None
) -> Stopped:
    """Ask the driver of a study to stop, and wait for its end; `asked` is told who that is.

    Raises InputError where there is no such study, or its driver did not end in time.
    """
    with _in_a_sentence():
        _known(place, name)
        store = place.lease(name)
        holder = is_alive(store)
        if holder is None:
            return Stopped(None)
        try:
            store.want_stop()
        except OSError as error:
            raise InputError(
                f"study {name}: {holder} cannot be asked to stop ({error.strerror}); ask as the user who runs it"
            ) from None
        asked(holder)
        began = time.monotonic()
        while (waited := time.monotonic() - began) < wait_seconds:
            now = store.holder()
            if now is None or now.token != holder.token:
                return Stopped(holder, waited)
            time.sleep(POLL_SECONDS)
    raise InputError(
        f"study {name}: {holder} has not ended within {wait_seconds:g} s; it stops when its running trials reach "
        "their next epoch"
    )


def viewers(place: RecordPlace, name: str) -> dict[str, str]:
    """Commands that open the record without gkm: "optuna-dashboard" and "python"."""
    if place.is_database:
        address = place.address(name)
        return {
            "optuna-dashboard": f"optuna-dashboard {shlex.quote(address)}",
            "python": f"optuna.load_study(study_name={name!r}, storage={address!r})",
        }
    path = str(place.journal(name))
    backend = f"optuna.storages.journal.JournalFileBackend({path!r})"
    return {
        "optuna-dashboard": f"optuna-dashboard {shlex.quote(path)}",
        "python": f"optuna.load_study(study_name={name!r}, storage=optuna.storages.JournalStorage({backend}))",
    }


def _age(entry: Entry) -> float:
    return -entry.created.timestamp() if entry.created else 0.0


def _known(place: RecordPlace, name: str) -> Record:
    record = open_record(place, check_name(name))
    if record is None and name in place.names():
        raise InputError(f"study {name}: its record is empty, since its driver died while it made it; start it again")
    if record is None:
        known = ", ".join(place.names()) or "none yet"
        raise InputError(
            f"study {name}: is not on record in {_where(place)} (there: {known}); check name and --workspace"
        )
    return record


def _where(place: RecordPlace) -> str:
    from gkm.tracking import redacted

    return redacted(place.url)


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except RecordError as error:
        raise InputError(str(error)) from None
