"""What is to be looked at from time to time in; a thread that looks, until it is told to end, and never after, out."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticker:
    """Calls `look` again and again, `pause()` seconds apart, with `lock` held; once `end` has returned, no more.

    Whoever prints with `lock` held, too, is not interrupted by what `look` prints.
    """

    def __init__(self, name: str, look: Callable[[], object], pause: Callable[[], float]) -> None:
        self._name, self._look, self._pause = name, look, pause
        self._ended = threading.Event()
        self.lock = threading.RLock()
        """May be taken twice: a signal may come while a line is printed, and print another."""

    @property
    def ended(self) -> bool:
        """Whether it was told to end."""
        return self._ended.is_set()

    def start(self) -> None:
        """Begin to look, in a thread that keeps nobody from leaving."""
        threading.Thread(target=self._go_on, name=self._name, daemon=True).start()

    def end(self) -> None:
        """Look no more; waits for a look that is under way."""
        with self.lock:
            self._ended.set()

    def _go_on(self) -> None:
        while not self._ended.wait(self._pause()):
            with self.lock:
                if not self.ended:
                    self._look()
