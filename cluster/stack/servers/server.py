"""What a supervisor has to know of a server: how it is started, when it is ready, and how it ends well."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.stack.servers.account import Account


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Server:
    """One of the stack's servers."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    """All of its environment: nothing is inherited."""
    folder: Path
    """Its working directory."""
    ready: Callable[[], bool]
    """Whether it answers and has its users, databases and buckets, which are made; asked again and again."""
    prepare: Callable[[], None] = _nothing
    """Done before each start."""
    after: tuple[str, ...] = ()
    """The servers that have to be ready before it starts."""
    account: Account | None = None
    stop: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20
    start_seconds: float = 180
