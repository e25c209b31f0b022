"""What a figure was measured on, in words, and how much memory was held meanwhile."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from gkm.tracking.environment import processor


def clock() -> float:
    """Seconds; of the process alone where it has one thread, so that others on the machine do not count."""
    import torch  # others that describe the machine do without

    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def peak_bytes() -> int:
    """Most memory that this process has held so far. (`getrusage` would tell its parent's, if that was more.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def describe() -> str:
    """Processor, cores and system of this machine."""
    cores, python = len(os.sched_getaffinity(0)), platform.python_version()
    return f"{processor()}, {cores} cores, {platform.system()}, Python {python}"
