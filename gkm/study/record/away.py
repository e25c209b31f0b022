"""A database that is away for a while in; connections that wait for it, so that a study outlasts its restart, out.

A database that is started again, or fails over to another machine, refuses connections for some seconds. Every use of
the record takes a connection that was found alive, or makes one, before it does anything: who waits there waits for a
database to which nothing has been said yet, and does nothing twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0
"""How long a connection is tried for; then the driver ends with a sentence, and the same command goes on later."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0


def wait_where_away(engine: Any, address: str) -> None:
    """Has `engine`, of SQLAlchemy, try for `PATIENCE_SECONDS` to connect. `address` is told without passwords."""
    import sqlalchemy

    sqlalchemy.event.listen(engine, "do_connect", Patient(address))


class Patient:
    """Makes connections in the place of SQLAlchemy, again and again where the database does not answer."""

    def __init__(
        self, address: str, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._address, self._clock, self._sleep = address, clock, sleep
        self._lock = threading.Lock()
        self._waiting = 0
        self._has_given_up = False
        """Whether patience ended since the last connection: what is tried then, such as a lease given back, fails."""

    def __call__(self, dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        """A new connection; raises what the last try raised once they have lasted too long."""
        began, pause, waited = self._clock(), _FIRST_PAUSE_SECONDS, False
        try:
            while True:
                try:
                    made = dialect.connect(*arguments, **options)
                    self._has_given_up = False
                    return made
                except dialect.loaded_dbapi.OperationalError:
                    if self._has_given_up or self._clock() - began >= PATIENCE_SECONDS:
                        self._has_given_up = True
                        raise
                    if not waited:
                        waited = True
                        self._begins()
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            if waited:
                self._ends()

    def _begins(self) -> None:
        with self._lock:
            self._waiting += 1
            if self._waiting == 1:  # the heartbeat and the study itself find out at the same time
                logging.getLogger(__name__).warning(
                    "the record's database %s does not answer; trying for %.0f s", self._address, PATIENCE_SECONDS
                )

    def _ends(self) -> None:
        with self._lock:
            self._waiting -= 1
