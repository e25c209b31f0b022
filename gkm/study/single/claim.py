"""A trial's place in; the right to train there, which one process has at a time, out.

The rules are those of `gkm.study.record.lease`: a lock on a file where the place is a folder, an object with a
heartbeat where it is in S3.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from gkm import storage
from gkm.errors import InputError
from gkm.study.record.lease import FileLease, Holder, Lease, LeaseStore, hold, is_alive

_NAME = ".lease"
SETTLE_SECONDS = 1.0
"""Within which two processes that take over at the same moment have both written; the later one stays."""


class ObjectLease:
    """A lease in a small object in S3."""

    def __init__(self, location: str) -> None:
        self._location = location

    def holder(self) -> Holder | None:
        if not storage.exists(self._location):
            return None
        try:
            return Holder(**json.loads(storage.read_bytes(self._location)))
        except (InputError, ValueError, TypeError):
            return None  # given back meanwhile

    def replace(self, seen: Holder | None, new: Holder | None) -> bool:
        there = self.holder()
        if (there.token if there else "") != (seen.token if seen else ""):
            return False
        if new is None:
            storage.delete(self._location)
            return True
        data = json.dumps(asdict(new)).encode()
        if seen is None:
            return storage.write_bytes(self._location, data, if_absent=True)
        storage.write_bytes(self._location, data)
        if seen.token == new.token:
            return True
        time.sleep(SETTLE_SECONDS)
        now = self.holder()
        return now is not None and now.token == new.token

    def stop_wanted(self) -> bool:
        return False

    def want_stop(self) -> None:
        raise NotImplementedError("a single trial is stopped by ending its process")


@contextmanager
def claimed(place: str, name: str) -> Iterator[Lease]:
    """The trial `name` at `place`, for the length of a `with` block; taken over from a process that is gone.

    Raises InputError naming host, process and time where another one trains it.
    """
    store = _store(place)
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(hold(store, name))
        except InputError:
            holder = store.holder()
            if holder is None:
                raise
            raise _refusal(name, holder) from None
        yield lease


def refuse_claimed(place: str, name: str) -> None:
    """Raises InputError naming host, process and time where another process trains the trial `name` at `place` now."""
    if (holder := is_alive(_store(place))) is not None:
        raise _refusal(name, holder)


def _refusal(name: str, holder: Holder) -> InputError:
    return InputError(f"{name}: is being trained by {holder}; wait for it, or end that process and start this again")


def _store(place: str) -> LeaseStore:
    location = storage.join(place, _NAME)
    return ObjectLease(location) if storage.is_remote(place) else FileLease(Path(location))
