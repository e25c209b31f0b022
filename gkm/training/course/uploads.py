"""Pieces of work in; done one after the other, in order, in a thread, while training goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

MOST_WAITING = 6
"""Pieces that may wait: those of one epoch (picture, weights, checkpoint, what is deleted). More hold training up."""


class Uploads:
    """Work in order; once a piece has failed, none after it is done, for each may count on those before."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._work: queue.Queue[tuple[Callable[[], object], Callable[[], object]]] = queue.Queue(most_waiting)
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way; also after a failure, which `wait` raises."""
        return self._work.unfinished_tasks == 0

    def put(self, work: Callable[[], object], otherwise: Callable[[], object] = lambda: None) -> None:
        """Have `work` done after all before it, or `otherwise` where one of these has failed.

        Raises what one of these raised, if that is known already; then neither is done.
        """
        self._raise()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gkm-uploads", daemon=True)
            self._thread.start()
        self._work.put((work, otherwise))

    def wait(self) -> None:
        """Return when all is done; raises what failed, once."""
        self._work.join()
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            self._work.join()  # what waits counts on what failed
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        while True:
            work, otherwise = self._work.get()
            try:
                (work if self._failure is None else otherwise)()
            except BaseException as error:
                self._failure = self._failure or error
            finally:
                self._work.task_done()
