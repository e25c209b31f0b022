"""A small tensor of each worker in; the tensors of all workers out, on every one, in the order of their ranks.

A batch norm over all workers exchanges a few hundred numbers twice a layer and step, 216 times in a step of GKMNet. By
gloo each takes about a millisecond, whatever is in it; through the memory that processes of one machine share, some
microseconds. So workers use that where all of them are on one machine and train on its processors, else
`torch.distributed`.
"""

from __future__ import annotations

import mmap
import os
import platform
import secrets
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, device

Exchange = Callable[[Tensor], Tensor]
"""The share of this worker, [...], to those of all W workers, [W, ...]; called in the same order on every worker."""

_LINE = 64
"""Bytes between the counters of two workers: a cache line, so that they do not disturb each other."""
_TOKEN_BYTES = 32
_SPINS, _YIELDS = 300, 2000
"""Looks at once, then with the processor offered to others, about 2 ms in all, before this worker sleeps between."""
_NAP_SECONDS = 1e-4
_SECONDS_BETWEEN_LOOKS = 0.05
"""How often a waiting worker asks whether the others are alive."""


class WorkerGoneError(RuntimeError):
    """A worker has ended, or has not come to an exchange in time; this one cannot go on without it."""


def exchange_for(place: device, most_bytes: int) -> Exchange:
    """The quickest exchange of shares of at most `most_bytes` among the workers of the default group.

    Called by all workers at the same time; `place` is where the shares are.
    """
    if place.type != "cpu" or not SharedMemoryExchange.is_possible():
        return gathered
    return SharedMemoryExchange.among_all(most_bytes) or gathered


def gathered(share: Tensor) -> Tensor:
    """The exchange of any workers on any machines, by `torch.distributed`."""
    shares = torch.empty((torch.distributed.get_world_size(), *share.shape), dtype=share.dtype, device=share.device)
    torch.distributed.all_gather(list(shares.unbind()), share.contiguous())
    return shares


class SharedMemoryExchange:
    """The exchange of processes of one machine, through memory that has no name and goes when the last of them ends.

    Each worker has a slot, twice, and a counter. It writes its share to its slot, counts on, waits for the counters of
    the others, and reads their slots. It can come to an exchange only after all others have left the last but one, so
    two slots in turn are enough. A processor must show stores to others in their order, as x86-64 does.

    Raises:
        WorkerGoneError: from a call, within a tenth of a second after another worker's process has ended, or after
            `patience` seconds in which one that lives did not come.
    """

    def __init__(self, memory: mmap.mmap, rank: int, others: dict[int, int], most_bytes: int, patience: float) -> None:
        """`memory` has `length` zero bytes behind its token; `others` are the pidfds of the other workers by rank."""
        self._rank, self._others, self._patience = rank, others, patience
        size = len(others) + 1
        self._counters = memoryview(memory)[_TOKEN_BYTES : _TOKEN_BYTES + size * _LINE].cast("q")
        bytes_ = torch.frombuffer(memory, dtype=torch.uint8, offset=_start_of_slots(size), count=2 * size * most_bytes)
        self._slots = bytes_.view(2, size, most_bytes)
        self._most_bytes = most_bytes
        self._done = 0
        self._views: dict[tuple[int, torch.Size, torch.dtype], Tensor] = {}

    @staticmethod
    def is_possible() -> bool:
        """Whether this machine has what it takes: Linux on x86-64."""
        return sys.platform == "linux" and platform.machine() == "x86_64"

    @staticmethod
    def length(workers: int, most_bytes: int) -> int:
        """Bytes of memory for so many workers whose shares have at most so many bytes."""
        return _start_of_slots(workers) + 2 * workers * most_bytes

    @classmethod
    def among_all(cls, most_bytes: int) -> SharedMemoryExchange | None:
        """The exchange among the workers of the default group; None, on all of them, unless all share one machine."""
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        most_bytes = -(-most_bytes // _LINE) * _LINE
        length = cls.length(size, most_bytes)
        token = secrets.token_bytes(_TOKEN_BYTES)
        descriptor = _anonymous(token, length) if rank == 0 else None
        try:
            workers: list[tuple[str, int, int | None, bytes]] = [("", 0, None, b"")] * size
            torch.distributed.all_gather_object(workers, (_machine(), os.getpid(), descriptor, token))
            machine, first, shared, right = workers[0]
            memory, others = None, dict[int, int]()
            if shared is not None and all(worker[0] == machine for worker in workers):
                memory = _opened(Path(f"/proc/{first}/fd/{shared}"), length, right)
                pids = {other: worker[1] for other, worker in enumerate(workers) if other != rank}
                others = _watched(pids) if memory else {}
            usable = memory is not None and len(others) == size - 1
            answers = [False] * size
            torch.distributed.all_gather_object(answers, usable)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if memory is None or not all(answers):
            for other in others.values():
                os.close(other)
            return None
        patience = torch.distributed.distributed_c10d.default_pg_timeout.total_seconds()
        return cls(memory, rank, others, most_bytes, patience)

    def __call__(self, share: Tensor) -> Tensor:
        if share.nbytes > self._most_bytes:
            return gathered(share)
        self._done += 1
        slots = self._of_all(self._done % 2, share)
        slots[self._rank].copy_(share)
        self._counters[self._rank * _LINE // 8] = self._done
        for other in self._others:
            self._wait_for(other)
        return slots.clone()

    def __deepcopy__(self, _: object) -> SharedMemoryExchange:
        return self  # copies of a network are of the same worker

    def __del__(self) -> None:
        for other in self._others.values():
            os.close(other)

    def _of_all(self, turn: int, share: Tensor) -> Tensor:
        """The slots of all workers in this turn, seen as tensors like `share`."""
        key = (turn, share.shape, share.dtype)
        if key not in self._views:
            bytes_ = self._slots[turn, :, : share.nbytes]
            self._views[key] = bytes_.view(share.dtype).view(len(bytes_), *share.shape)
        return self._views[key]

    def _wait_for(self, other: int) -> None:
        """Return once the worker `other` has come to this exchange."""
        counters, place, done = self._counters, other * _LINE // 8, self._done
        for _ in range(_SPINS):
            if counters[place] >= done:
                return
        began = looked = time.monotonic()
        looks = 0
        while counters[place] < done:
            looks += 1
            os.sched_yield()
            time.sleep(0 if looks < _YIELDS else _NAP_SECONDS)  # either lets other threads of this process run, too
            if (now := time.monotonic()) - looked < _SECONDS_BETWEEN_LOOKS:
                continue
            looked = now
            # One that ends may have come before it did.
            if _has_ended(self._others[other]) and counters[place] < done:
                raise WorkerGoneError(f"worker {other} has ended; worker {self._rank} cannot go on without it")
            if now - began > self._patience:
                raise WorkerGoneError(f"worker {other} did not come within {self._patience:.0f} seconds")


def _start_of_slots(workers: int) -> int:
    return -(-(_TOKEN_BYTES + workers * _LINE) // _LINE) * _LINE


def _machine() -> str:
    """The same for two processes only if they run on one machine that was not started again since."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(16)


def _anonymous(token: bytes, length: int) -> int | None:
    """The descriptor of so many bytes of memory, which begin with `token`; None if there are none to be had."""
    descriptor = None
    try:
        descriptor = os.memfd_create("gkm-exchange", os.MFD_CLOEXEC)
        os.posix_fallocate(descriptor, 0, length)  # here rather than by a signal at the first write
        os.pwrite(descriptor, token, 0)
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def _opened(path: Path, length: int, token: bytes) -> mmap.mmap | None:
    """The memory that another process has as `path`, if it can be reached and is the right one."""
    try:
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size != length:
                return None
            memory = mmap.mmap(file.fileno(), length)
    except (OSError, ValueError):
        return None
    return memory if memory[:_TOKEN_BYTES] == token else None


def _watched(pids: dict[int, int]) -> dict[int, int]:
    """Descriptors by which the end of each process is noticed, also of one whose parent does not ask."""
    found: dict[int, int] = {}
    for rank, pid in pids.items():
        try:
            found[rank] = os.pidfd_open(pid)
        except OSError:
            break
    return found


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
