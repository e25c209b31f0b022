"""Holders of leases elsewhere whose hearts beat, and proof that nobody watches for one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from gkm.study.record import lease as leases


@contextmanager
def beating(beat: Callable[[int], object], seconds: float) -> Iterator[None]:
    """For the length of the block `beat` is called with 1, 2, ..., so many seconds apart."""
    over = threading.Event()

    def go_on() -> None:
        number = 0
        while not over.wait(seconds):
            number += 1
            beat(number)

    heart = threading.Thread(target=go_on)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()


def refuse_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a test fails that sleeps in order to see whether a heart beats."""

    def sleep(seconds: float) -> None:
        pytest.fail("a process of this machine was watched")

    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
