"""A group of workers that waits for nodes in; an end to its waiting, once that takes too long, out.

Where an elastic group has fallen below its least size, Ray Train waits for ever, and has no setting against it. What
looks on here is called by Ray Train's controller, in the controller's process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.train.v2._internal.execution.callback import ControllerCallback

PAUSE_SECONDS = 0.5
"""Between two looks at the cluster: the controller itself takes none, and keeps a core busy."""


class NoRoomError(RuntimeError):
    """The cluster had no room for the least size of a group in time."""


class Patience(ControllerCallback):  # type: ignore[misc,unused-ignore]
    """Ends a run of Ray Train whose group waited for room for `seconds` at a stretch."""

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._seconds, self._clock, self._sleep = seconds, clock, sleep
        self._since: float | None = None

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Called after each look of the controller; while it waits for nodes its state stays the very same object."""
        if current_state is not previous_state:
            self._since = None
            return
        now = self._clock()
        if self._since is None:
            self._since = now
        if now - self._since >= self._seconds:
            raise NoRoomError(f"no room within {self._seconds:g} seconds")
        self._sleep(PAUSE_SECONDS)
