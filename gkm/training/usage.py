"""Nothing in; what this process has taken of its machine since the last look, and how fast it was, out."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

Item = TypeVar("Item")
_STATM = Path("/proc/self/statm")


class Usage:
    """Memory in use, and the share of a core since the look before."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def measure(self) -> dict[str, float]:
        """Metrics of this process; 100 % is one core at work all the time, all its threads counted."""
        wall, cpu = time.monotonic(), time.process_time()
        share = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._wall, self._cpu = wall, cpu
        metrics = {"system/memory_gigabytes": memory_bytes() / 1e9, "system/cpu_percent": 100 * share}
        if self._device.type == "cuda":
            metrics["system/gpu_memory_gigabytes"] = torch.cuda.max_memory_allocated(self._device) / 1e9
        return metrics


class Pace:
    """How fast crops pass, over all workers, and the share of that time in which this one waits for them."""

    def __init__(self) -> None:
        self._crops, self._waited, self._passing = 0, 0.0, 0.0

    def waited_for(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, while it is measured how long each takes to come, and all that is done between them."""
        began, iterator = time.perf_counter(), iter(items)
        try:
            while True:
                try:
                    yield self._next(iterator)
                except StopIteration:
                    return
        finally:
            self._passing += time.perf_counter() - began

    def _next(self, iterator: Iterator[Item]) -> Item:
        asked = time.perf_counter()
        try:
            return next(iterator)
        finally:
            self._waited += time.perf_counter() - asked

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done in the block, while an item is waited for, counts neither as waiting nor as passing."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            self._waited -= seconds
            self._passing -= seconds

    def count(self, crops: int) -> None:
        """So many crops have passed."""
        self._crops += crops

    def measure(self) -> dict[str, float]:
        """Metrics since the last time; none where nothing has passed."""
        crops, waited, passing = self._crops, self._waited, self._passing
        self._crops, self._waited, self._passing = 0, 0.0, 0.0
        if not crops or passing <= 0:
            return {}
        return {"system/crops_per_second": crops / passing, "system/data_wait_percent": 100 * waited / passing}


def memory_bytes() -> float:
    """What this process holds of the machine's memory; where the system does not say it, the most that it has held."""
    if _STATM.exists():
        return float(_STATM.read_text().split()[1]) * resource.getpagesize()
    largest = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return largest if sys.platform == "darwin" else largest * 1024
