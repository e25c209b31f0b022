"""Nothing in; what this process has taken of its machine since the last look out."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch

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
        metrics = {"system/memory_gigabytes": _memory_bytes() / 1e9, "system/cpu_percent": 100 * share}
        if self._device.type == "cuda":
            metrics["system/gpu_memory_gigabytes"] = torch.cuda.max_memory_allocated(self._device) / 1e9
        return metrics


def _memory_bytes() -> float:
    if _STATM.exists():
        return float(_STATM.read_text().split()[1]) * resource.getpagesize()
    largest = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return largest if sys.platform == "darwin" else largest * 1024
