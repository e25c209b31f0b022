"""Ctrl-C and SIGTERM to a process that trains in; a wish to leave with a checkpoint, or an end at once, out."""

from __future__ import annotations

import logging
import signal
from types import FrameType, TracebackType
from typing import Self

from gkm.study.execution.interrupts import TakenSignals

TERMINATED = 128 + signal.SIGTERM
"""Exit status after SIGTERM."""


class StopSignals(TakenSignals):
    """Heeds both signals for the length of a `with` block.

    Called between steps it says whether one came. From the first such call to `done` the first signal is a wish, for
    whoever asks will see it; before, after, and the second time, a signal ends the block at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number: int | None = None
        """The first signal that came."""
        self._asked = False

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def __call__(self) -> bool:
        self._asked = True
        return self.number is not None

    def done(self) -> None:
        """Nobody asks any more."""
        self._asked = False

    def end(self) -> None:
        """Raises what the signal that came ends a process with, if one came."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number is not None:
            logging.getLogger("gkm").warning("stopped by SIGTERM; what was finished is kept, the same command goes on")
            raise SystemExit(TERMINATED)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.number is not None
        self.number = self.number or number
        if again or not self._asked:
            self.end()
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        logging.getLogger("gkm").warning("%s: leaving after this step, with a checkpoint (again ends at once)", name)
