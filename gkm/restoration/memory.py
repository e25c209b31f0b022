"""What this machine has left in; a limit on what this process may allocate meanwhile, so that too much is refused, out.

Linux promises more memory than it has, and ends the process that uses it. Within the limit the allocation itself fails,
which can be said in a sentence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHARE = 0.95
"""Of what is left: the rest is for everything that is not counted."""
_INFORMATION, _STATUS, _GROUP = Path("/proc/meminfo"), Path("/proc/self/status"), Path("/sys/fs/cgroup")


class _State:
    """How many are inside, and the limit from before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before = (0, 0)


_state = _State()


@contextmanager
def within_memory() -> Iterator[None]:
    """Allocations beyond what is left fail with MemoryError, or PyTorch's RuntimeError, inside the `with` block.

    Where it is not known what is left (not on Linux) nothing changes. Of several threads inside, the first one's limit
    holds for all of this process.
    """
    left = available_bytes()
    held = _kilobytes(_STATUS, "VmData")
    if left is None or held is None:
        yield
        return
    _enter(held + round(_SHARE * left))
    try:
        yield
    finally:
        _leave()


def available_bytes() -> int | None:
    """Memory that can still be used: of the machine, swap included, or of the container if that has less."""
    free, swap = _kilobytes(_INFORMATION, "MemAvailable"), _kilobytes(_INFORMATION, "SwapFree")
    if free is None:
        return None
    left = free + (swap or 0)
    allowed, used = _number(_GROUP / "memory.max"), _number(_GROUP / "memory.current")
    if allowed is not None and used is not None:
        left = min(left, max(0, allowed - used + (_number(_GROUP / "memory.stat", "inactive_file") or 0)))
    return left


def _enter(limit: int) -> None:
    import resource

    with _state.lock:
        _state.inside += 1
        if _state.inside == 1:
            _state.before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
            resource.setrlimit(resource.RLIMIT_DATA, (min([limit, *known]), hard))


def _leave() -> None:
    import resource

    with _state.lock:
        _state.inside -= 1
        if _state.inside == 0:
            resource.setrlimit(resource.RLIMIT_DATA, _state.before)


def _kilobytes(path: Path, key: str) -> int | None:
    """The value of "KEY: 123 kB", in bytes."""
    found = _number(path, f"{key}:")
    return None if found is None else found * 1024


def _number(path: Path, key: str = "") -> int | None:
    """The first number of a file, or that behind `key` at the beginning of a line; None where there is none."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return None
    words = next((line[1:] if key else line for line in lines if line and (not key or line[0] == key)), [])
    return int(words[0]) if words and words[0].isdecimal() else None
