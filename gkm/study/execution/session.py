"""An address in, a Ray session for the length of a `with` block out."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import ray

from gkm.errors import InputError
from gkm.training.scratch import is_alive

SHUTDOWN_SECONDS = 20.0
REMOVAL_SECONDS = 10.0
_PREFIX = "gkm-ray-"
_LONGEST_FOLDER = 40
"""Of the folder of a session's sockets, whose names the system cuts at 107 characters."""


class SessionLostError(BaseException):
    """Ray's process on this machine is gone, or did not start. No Exception, so that Tune does not try to tidy up."""


@contextmanager
def start_ray(address: str, cpus: int | None = None) -> Iterator[None]:
    """A session on the cluster at `address`, or, where that is "local", on a Ray of its own with `cpus` cores.

    A Ray of its own leaves nothing behind: its folder is removed at the end, or, if this process is killed, when the
    next one starts.

    Raises InputError where no cluster answers at `address`, SessionLostError where a Ray of its own does not start.
    """
    folder: Path | None = None
    lost = False
    try:
        if address == "local":
            remove_leftovers()
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_parent()))
            _start_local(folder, cpus)
        else:
            _connect(address)
        yield
    except SessionLostError:
        lost = True
        raise
    finally:
        try:
            if lost:
                _abandon(folder)
            else:
                _shut_down()
        finally:
            if folder is not None:
                _remove(folder, REMOVAL_SECONDS)
                remove_leftovers(REMOVAL_SECONDS)  # what those of a killed driver wrote after the start


def _shut_down() -> None:
    """End the session without a collection of garbage in between.

    Where another thread collects Ray's references while Ray's own library is already gone and Python does not know it
    yet, that library ends the whole process, with status 1.
    """
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if enabled:
            gc.enable()


def _start_local(folder: Path, cpus: int | None) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=cpus or len(os.sched_getaffinity(0)),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(folder),
        )
    except Exception as error:  # Ray has no class of its own for it
        raise SessionLostError(f"Ray did not start on this machine ({_first_line(error)})") from error


def _connect(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError) as error:
        reason = _first_line(error)
        raise InputError(f"{address}: no Ray cluster answers there ({reason}); start one, or use --ray local") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


class Raylet:
    """The process of Ray on this machine that the session at hand hangs on."""

    def __init__(self) -> None:
        self._process = _find_raylet()
        self._looked = time.monotonic()

    def check(self) -> None:
        """Raises SessionLostError where it is gone; looks once a second."""
        if self._process is None or time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
            raise SessionLostError("Ray's process on this machine has died")


def _find_raylet() -> psutil.Process | None:
    socket = f"--raylet_socket_name={ray._private.worker.global_worker.node.raylet_socket_name}"
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "raylet" and socket in (process.info["cmdline"] or ()):
            return process
    return None


def _abandon(folder: Path | None) -> None:
    """End a session that lost a process, and may not answer any more."""
    ending = threading.Thread(target=_shut_down, daemon=True)
    ending.start()
    ending.join(SHUTDOWN_SECONDS)
    if folder is not None:
        _kill_processes_of(folder)
        ending.join(SHUTDOWN_SECONDS)
    gc.enable()  # also where it did not end


def _kill_processes_of(folder: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and _is_of(process, folder):
            with contextlib.suppress(psutil.Error):
                process.kill()


def _is_of(process: psutil.Process, folder: Path) -> bool:
    """By its command; Ray's agents and workers put a title in its place, but keep their logs in the folder open."""
    words = process.info["cmdline"] or [""]
    if any(str(folder) in word for word in words):
        return True
    if words[0].startswith("ray::"):
        with contextlib.suppress(OSError):  # it is gone, or not ours, or there is no /proc
            return any(os.readlink(file).startswith(f"{folder}/") for file in Path(f"/proc/{process.pid}/fd").iterdir())
    return False


def remove_leftovers(seconds: float = 0.0) -> None:
    """Remove the folders of local sessions whose processes were killed, within `seconds` each."""
    for folder in _parent().glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not is_alive(int(process)):
            _remove(folder, seconds)


def _remove(folder: Path, seconds: float) -> None:
    """Remove `folder`, in which processes that are about to end may still write; those of Ray's own are killed."""
    until = time.monotonic() + seconds
    _kill_processes_of(folder)
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > until:
            return
        time.sleep(0.2)


def _parent() -> Path:
    """The system's folder for temporary files, or /tmp where its name is too long for sockets."""
    folder = Path(tempfile.gettempdir())
    return folder if len(str(folder)) <= _LONGEST_FOLDER else Path("/tmp")
