"""Servers in; they run until told to stop, and are started again when they end otherwise."""

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cluster.stack.folder import Folder
from cluster.stack.processes import Known, belonging, end, end_server, spawn
from cluster.stack.servers.server import Server
from cluster.stack.state import Running, State, write_state

MOST_RESTARTS, WITHIN_SECONDS = 5, 600.0
MOST_STARTS = 4
"""Of a server that has never answered: Ray gives up where its start takes 30 s, as it may on a busy machine."""
_LOOK_SECONDS = 0.25


class ServerFailedError(RuntimeError):
    """A server does not start, or does not stay; the message ends with its last words."""


@dataclass
class _Watched:
    server: Server
    process: subprocess.Popen[bytes] | None = None
    known: Known | None = None
    started: float = 0.0
    ready: bool = False
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_RESTARTS))


class Supervisor:
    """Starts servers in their order and keeps them running."""

    def __init__(self, folder: Folder, servers: Sequence[Server], state: State, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._watched = {server.name: _Watched(server) for server in servers}
        self._state = state
        self._say = say
        self._stop = threading.Event()
        self._hurry = threading.Event()

    def stop(self) -> None:
        """Have `run` end all servers and return; called again, without giving them time. For signal handlers."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def run(self, up: Callable[[], None]) -> None:
        """Until `stop` is called; calls `up` once, when all are ready. ServerFailedError where one is beyond help."""
        told = False
        try:
            while not self._stop.is_set():
                for watched in self._watched.values():
                    self._look(watched, starting=not told)
                if not told and all(watched.ready for watched in self._watched.values()):
                    told = True
                    up()
                self._stop.wait(_LOOK_SECONDS)
        finally:
            self._end_all()

    def _look(self, watched: _Watched, starting: bool) -> None:
        server = watched.server
        if watched.process is None:
            if all(self._watched[name].ready for name in server.after) and not self._stop.is_set():
                self._start(watched)
        elif (status := watched.process.poll()) is not None:
            self._ended(watched, status, starting)
        elif not watched.ready:
            if server.ready():
                watched.ready = True
                self._write()
                if watched.ends:
                    self._say(f"{server.name} answers again.")
            elif time.monotonic() - watched.started > server.start_seconds:
                raise ServerFailedError(
                    self._words(f"{server.name} did not answer in {server.start_seconds:.0f} s", server)
                )

    def _start(self, watched: _Watched) -> None:
        server = watched.server
        server.prepare()
        watched.process = spawn(
            server.command, server.environment, self._mark(server), self._folder.logs / f"{server.name}.log",
            server.folder, server.account,
        )  # fmt: skip
        watched.known = Known.of(watched.process.pid)
        watched.started, watched.ready = time.monotonic(), False
        self._write()

    def _ended(self, watched: _Watched, status: int, starting: bool) -> None:
        """Begin again, unless that has not helped before: then say why."""
        server, now = watched.server, time.monotonic()
        was_ready, watched.ready = watched.ready, False
        many = len(watched.ends) == MOST_RESTARTS and now - watched.ends[0] < WITHIN_SECONDS
        if many or (starting and not was_ready and len(watched.ends) == MOST_STARTS - 1):
            raise ServerFailedError(self._words(f"{server.name} ended with status {status}", server))
        watched.ends.append(now)
        self._say(f"{server.name} ended with status {status}; it is started again ...")
        self._clear(watched, 0)
        watched.process = None

    def _end_all(self) -> None:
        """In the order opposite to their start, so that nobody's server is gone before him."""
        for watched in reversed(self._watched.values()):
            self._clear(watched, watched.server.stop_seconds)
        self._state = self._state.model_copy(update={"servers": {}, "supervisor": None, "ray_folder": None})
        write_state(self._folder, self._state)

    def _clear(self, watched: _Watched, seconds: float) -> None:
        """End a server and all that it has started, jobs included."""
        if watched.process is None or watched.known is None:
            return
        if seconds and not self._hurry.is_set():
            watched.process.send_signal(watched.server.stop)
            deadline = time.monotonic() + seconds
            while watched.process.poll() is None and time.monotonic() < deadline and not self._hurry.is_set():
                time.sleep(0.05)
        end_server(watched.known, self._mark(watched.server))
        watched.process.wait()

    def _mark(self, server: Server) -> str:
        return f"{self._folder.root}:{server.name}"

    def _write(self) -> None:
        servers = {
            name: Running(process=watched.known, ready=watched.ready)
            for name, watched in self._watched.items()
            if watched.known is not None
        }
        self._state = self._state.model_copy(update={"servers": servers})
        write_state(self._folder, self._state)

    def _words(self, what: str, server: Server) -> str:
        log = self._folder.logs / f"{server.name}.log"
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
        return "\n".join([f"{what}; its last words, all of them in {log}:", *(f"  {line}" for line in last)])


def end_left_over(folder: Folder, state: State) -> int:
    """End what a supervisor that was killed has left running; the number of its processes."""
    leaders = [running.process for running in state.servers.values()]
    count, asked = 0, signal.SIGTERM
    while found := belonging(f"{folder.root}:", leaders):
        count += len(found)
        end(found, asked, 15)
        asked = signal.SIGKILL  # those that were started meanwhile
    return count
