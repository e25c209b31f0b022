"""Signals to a driver in: an orderly end of the study asked for, and, the second time, an end at once."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FrameType
from typing import Any


class TakenSignals(ABC):
    """SIGINT and SIGTERM, taken over from whoever has them, and given back."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take over both signals (again, if a library took them since)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            current = signal.getsignal(number)
            if current != self._handle:
                self._before.setdefault(number, current)
                signal.signal(number, self._handle)

    def restore(self) -> None:
        """Give both back to whom they were taken from."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @abstractmethod
    def _handle(self, number: int, frame: FrameType | None) -> None:
        """One of them came."""


class Interrupts(TakenSignals):
    """SIGINT and SIGTERM while a study runs: the first one asks for an orderly end, the second ends at once."""

    def __init__(self, on_first: Callable[[str], None]) -> None:
        super().__init__()
        self._on_first = on_first
        self.signal: int | None = None
        """The first one that came."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self._on_first("Ctrl-C" if number == signal.SIGINT else "SIGTERM")
