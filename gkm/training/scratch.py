"""A folder to write in, and a name, in; a temporary folder out that outlives its process by one start at most.

What a process that was killed left behind goes when the next one on its machine cleans up: the name of each folder
says whose it is.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

FOREIGN_SECONDS = 6 * 3600.0
"""After which a folder of another machine, whose processes cannot be looked up here, counts as left behind."""
_mine: set[Path] = set()
"""Of this process: its number may have been another's before (in containers all begin with the same ones)."""


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Path]:
    """An empty folder in `folder` for the length of a `with` block."""
    path = folder.absolute() / f"{prefix}{_host()}.{os.getpid()}.{uuid4().hex[:8]}"
    path.mkdir(parents=True)
    _mine.add(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _mine.discard(path)


def clean(folder: Path, prefix: str) -> None:
    """Remove what `scratch` made in `folder` for processes that are no more."""
    for path in folder.absolute().glob(f"{prefix}*"):
        owner = re.fullmatch(rf"{re.escape(prefix)}(.+)\.(\d+)\.\w+", path.name)
        if owner and path not in _mine and not _is_in_use(path, owner[1], int(owner[2])):
            shutil.rmtree(path, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_in_use(path: Path, host: str, process: int) -> bool:
    if host == _host():
        return process != os.getpid() and is_alive(process)
    try:
        return time.time() - path.stat().st_mtime < FOREIGN_SECONDS
    except OSError:
        return False


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())
