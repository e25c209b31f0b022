"""Commands in; processes that can be found and ended again out, with all that they started.

Each server leads a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone, and carries a mark
in its environment. Ray's workers and PostgreSQL's overwrite theirs with their title: the session finds those.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from cluster.stack.servers.account import Account

MARK = "GKM_STACK"
"""The environment variable with the folder of the stack and the name of the server."""


class Known(BaseModel):
    """A process, and when it began: its number may be another's later."""

    model_config = ConfigDict(frozen=True)

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> "Known":
        """The process `pid`, which runs."""
        return cls(pid=pid, began=psutil.Process(pid).create_time())

    @property
    def runs(self) -> bool:
        """Whether it is still the same one, and no zombie."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.began) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def spawn(
    command: Sequence[str], environment: Mapping[str, str], mark: str, log: Path, cwd: Path, account: Account | None
) -> subprocess.Popen[bytes]:
    """Start a server with nothing but this environment; what it says is appended to `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, cwd=cwd, start_new_session=True,
            env={**environment, MARK: mark}, **(account.arguments() if account else {}),
        )  # fmt: skip
    finally:
        os.close(descriptor)


def belonging(mark: str, leaders: Iterable[Known] = ()) -> list[psutil.Process]:
    """All processes whose mark begins with `mark`, those in the sessions of `leaders`, and what these started."""
    first = {leader.pid: leader.began for leader in leaders}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            session = os.getsid(process.pid)
            # A session outlives its leader, but not with members that began before it.
            of_session = session in first and process.create_time() >= first[session] - 1
            if of_session or _marked(process, mark):
                for each in (process, *process.children(recursive=True)):
                    found[each.pid] = each
        except (psutil.Error, OSError):
            continue
    return [process for process in found.values() if process.pid != os.getpid()]


def end(processes: Sequence[psutil.Process], how: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
    """Ask them to end; kill what has not after `seconds`. Returns when they are gone."""
    _signal(processes, how)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    _signal(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=10)


def end_server(leader: Known, mark: str) -> None:
    """Kill a server's first process, if it is still there, and all that it has left."""
    for _ in range(3):  # one that is being started may be missed the first time
        left = belonging(mark, [leader])
        if not left:
            return
        end(left, signal.SIGKILL)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK, "").startswith(mark)
    except (psutil.Error, OSError):
        return False


def _signal(processes: Sequence[psutil.Process], how: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            continue
