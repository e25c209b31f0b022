"""What a figure was measured on, in words, and how much memory was held meanwhile."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def peak_bytes() -> int:
    """Most memory that this process has held so far. (`getrusage` would tell its parent's, if that was more.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def describe() -> str:
    """Processor, cores and system of this machine."""
    info = Path("/proc/cpuinfo")
    facts = dict.fromkeys(("model name", "cpu family", "model"), "")
    for line in info.read_text().splitlines() if info.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() in facts and not facts[name.strip()]:
            facts[name.strip()] = value.strip()
    processor = facts["model name"] or platform.machine()
    family = f" (family {facts['cpu family']}, model {facts['model']})" if facts["cpu family"] else ""
    cores, python = len(os.sched_getaffinity(0)), platform.python_version()
    return f"{processor}{family}, {cores} cores, {platform.system()}, Python {python}"
