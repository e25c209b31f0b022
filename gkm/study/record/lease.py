"""One driver a study: a lease with a heartbeat. A second driver is refused; the lease of one that died is taken over.

A record that is a file has its lease in a file beside it, held by the system's lock as long as the process lives, so
that on one machine a dead driver is known at once. A record in a database has it in a table there. In both the holder
writes a heartbeat; a holder on another machine counts as gone when its heartbeat does not change for STALE_SECONDS, by
the watch of the one who looks: clocks of different machines are never compared.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from gkm.errors import InputError
from gkm.study.record.lease_store import DatabaseLease, FileLease, Holder, LeaseStore

__all__ = ["DatabaseLease", "FileLease", "Holder", "Lease", "LeaseLostError", "LeaseStore", "hold", "is_alive"]

HEARTBEAT_SECONDS = 3.0
STALE_SECONDS = 15.0


class LeaseLostError(RuntimeError):
    """Another driver took the study over while this one was away (suspended, or cut off from the record)."""


class Lease:
    """A lease that this process holds, its heartbeat going."""

    def __init__(self, store: LeaseStore, holder: Holder) -> None:
        self._store = store
        self.holder = holder
        self.took_over: Holder | None = None
        """The driver that died before, if any."""
        self.stop_wanted = False
        """Whether someone asked this driver to stop (`gkm study stop`)."""
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="gkm-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises LeaseLostError where another driver has taken over."""
        if self._lost:
            raise LeaseLostError(f"another driver took the study over: {self._store.holder() or 'it has ended since'}")

    def release(self) -> None:
        """Give the lease back; where its place does not answer it stays there as that of a holder that is gone."""
        self._ended.set()
        self._thread.join()
        if not self._lost:
            # What ends the study says why; this would take its place.
            with suppress(Exception):
                self._store.replace(self.holder, None)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            newer = replace(self.holder, beat=self.holder.beat + 1)
            try:
                self.stop_wanted = self.stop_wanted or self._store.stop_wanted()
                if not self._store.replace(self.holder, newer):
                    self._lost = True
                    return
            except Exception:
                # The database is away or the disk is full: whoever writes the record will find out and say so.
                continue
            self.holder = newer


@contextmanager
def hold(store: LeaseStore, study: str, watch_seconds: float = STALE_SECONDS) -> Iterator[Lease]:
    """The lease of `study` for the length of a `with` block, taken over from a driver that is gone.

    Raises InputError naming the holder where another driver runs the study.
    """
    now = datetime.now().isoformat(" ", "seconds")
    own = Holder(socket.gethostname(), os.getpid(), now, uuid.uuid4().hex)
    before = store.holder()
    if before is not None and not _is_gone(store, before, watch_seconds):
        raise _refusal(study, before)
    if not store.replace(before, own):
        raise _refusal(study, store.holder())
    lease = Lease(store, own)
    lease.took_over = before
    try:
        yield lease
    finally:
        lease.release()


def is_alive(store: LeaseStore, watch_seconds: float = HEARTBEAT_SECONDS + 2) -> Holder | None:
    """The driver that runs the study now, if any; of one on another machine a heartbeat is looked for."""
    holder = store.holder()
    return None if holder is None or _is_gone(store, holder, watch_seconds) else holder


def _is_gone(store: LeaseStore, holder: Holder, watch_seconds: float) -> bool:
    if isinstance(store, FileLease) and store.is_locked():
        return False
    if holder.is_here:
        return isinstance(store, FileLease) or holder.is_dead_here
    deadline = time.monotonic() + watch_seconds
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if store.holder() != holder:
            return store.holder() is None
    return True


def _refusal(study: str, holder: Holder | None) -> InputError:
    who = str(holder) if holder else "another process"
    return InputError(
        f"study {study}: is being run by {who}; wait for it, stop it with `gkm study stop {study}`, "
        "or choose another --study name"
    )
