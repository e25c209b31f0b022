"""What waits for workers that do not come; that real groups exchange rightly is in ../test_worker_groups.py."""

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from gkm.training.group.exchange import SharedMemoryExchange, WorkerGoneError

pytestmark = pytest.mark.skipif(not SharedMemoryExchange.is_possible(), reason="needs Linux on x86-64")
MOST_BYTES = 64
Other = Callable[[Callable[..., SharedMemoryExchange]], None]


@pytest.fixture
def started() -> Iterator[Callable[..., SharedMemoryExchange]]:
    """The exchange of worker 0, whose worker 1 is another process that does what it is told."""
    pids = []

    def start(other: Other, patience: float = 60.0) -> SharedMemoryExchange:
        memory, parent = mmap.mmap(-1, SharedMemoryExchange.length(2, MOST_BYTES)), os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                other(lambda: SharedMemoryExchange(memory, 1, {0: os.pidfd_open(parent)}, MOST_BYTES, patience))
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
        return SharedMemoryExchange(memory, 0, {1: os.pidfd_open(pid)}, MOST_BYTES, patience)

    yield start
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _ends_after(exchanges: int) -> Other:
    def other(make: Callable[..., SharedMemoryExchange]) -> None:
        exchange = make()
        for number in range(exchanges):
            exchange(torch.tensor([number * 10.0]))

    return other


def _sleeps(make: Callable[..., SharedMemoryExchange]) -> None:
    make()
    time.sleep(60)


def test_what_an_ended_worker_gave_still_counts(started: Callable[..., SharedMemoryExchange]) -> None:
    exchange = started(_ends_after(3))
    time.sleep(0.3)  # it cannot be more than one ahead, and waits
    for number in range(3):
        assert exchange(torch.tensor([float(number)])).tolist() == [[number], [number * 10]]


def test_an_ended_worker_is_noticed_at_once(started: Callable[..., SharedMemoryExchange]) -> None:
    exchange = started(_ends_after(1))
    exchange(torch.tensor([0.0]))
    os.waitid(os.P_PIDFD, exchange._others[1], os.WEXITED | os.WNOWAIT)  # its end may take a busy machine a while
    began = time.monotonic()
    with pytest.raises(WorkerGoneError, match="worker 1 has ended; worker 0 cannot go on without it"):
        exchange(torch.tensor([1.0]))
    assert time.monotonic() - began < 5, "long before its patience of 60 seconds ends"


def test_patience_with_a_worker_that_lives_but_does_not_come_ends(
    started: Callable[..., SharedMemoryExchange],
) -> None:
    exchange = started(_sleeps, patience=0.3)
    began, used = time.monotonic(), time.thread_time()
    with pytest.raises(WorkerGoneError, match="worker 1 did not come within 0 seconds"):
        exchange(torch.tensor([0.0]))
    assert 0.3 < time.monotonic() - began < 30
    assert time.thread_time() - used < 0.2  # it waits, and does not spin
