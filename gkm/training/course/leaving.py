"""A wish that a training ends in; the training's answer, a checkpoint of where it stands, comes within seconds.

A process hears of it by a signal, a training elsewhere by a small file that its driver writes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from gkm import storage
from gkm.errors import InputError

POLL_SECONDS, REMOTE_POLL_SECONDS = 0.5, 3.0
"""How often a training elsewhere looks for its driver's request."""


class Left(Exception):  # noqa: N818
    """Training ended because it was asked to; where it stands is in its store."""


class Wish(IntEnum):
    """What is asked of a training between two steps."""

    NOTHING = 0
    CHECKPOINT = 1
    LEAVE = 2


Leaving = Callable[[], bool]
"""Whether this process was asked to leave; once true it stays true."""


def never() -> bool:
    """Nobody asks this process to leave."""
    return False


@dataclass(frozen=True)
class LeaveRequest:
    """By which a driver asks those who train for it to leave, wherever they are: a file at `location`.

    It holds `token`, which is of one start of the driver: what an earlier one, killed since, has left asks nobody.
    """

    location: str
    token: str

    def post(self) -> None:
        """Ask; what cannot be written is logged, for whoever does not hear of it is ended a little later."""
        try:
            storage.write_bytes(self.location, self.token.encode())
        except (InputError, OSError) as error:
            logging.getLogger(__name__).warning("trainings cannot be asked to leave: %s", error)

    def withdraw(self) -> None:
        """Nobody is left to be asked."""
        try:
            storage.delete(self.location)
        except (InputError, OSError) as error:
            logging.getLogger(__name__).warning("%s stays behind: %s", self.location, error)

    @contextmanager
    def watched(self, grace_seconds: float = 0.0) -> Iterator[Leaving]:
        """For the length of the block, whether it was posted at least `grace_seconds` ago.

        Looked at in a thread, so that a storage that does not answer holds up no step.
        """
        seen: list[float] = []
        over = threading.Event()

        def look() -> None:
            every = REMOTE_POLL_SECONDS if storage.is_remote(self.location) else POLL_SECONDS
            while not over.wait(every):
                if self._is_posted():
                    seen.append(time.monotonic())
                    return

        threading.Thread(target=look, name="gkm-leaving", daemon=True).start()
        try:
            yield lambda: bool(seen) and time.monotonic() - seen[0] >= grace_seconds
        finally:
            over.set()

    def _is_posted(self) -> bool:
        try:
            return storage.exists(self.location) and storage.read_bytes(self.location) == self.token.encode()
        except (InputError, OSError):
            return False  # withdrawn meanwhile, or out of reach for now
