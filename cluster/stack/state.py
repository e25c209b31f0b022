"""A stack's folder in; who supervises it, which servers run, and on which ports out; and its lock."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.stack.folder import Folder, write_private
from cluster.stack.processes import Known
from gkm.errors import InputError


class Running(BaseModel):
    """A server's first process, and whether it has answered."""

    model_config = ConfigDict(frozen=True)

    process: Known
    ready: bool = False


class State(BaseModel):
    """What a running stack has written down; of one that was stopped, its ports."""

    ports: dict[str, int] = {}
    supervisor: Known | None = None
    servers: dict[str, Running] = {}
    ray_folder: Path | None = None
    """Ray's temporary folder: a short path, since those of Unix sockets end at 107 characters."""


def read_state(folder: Folder) -> State:
    """The last one written; an empty one where there is none that can be read."""
    try:
        return State.model_validate_json(folder.state.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return State()


def write_state(folder: Folder, state: State) -> None:
    """Keep it for the next command."""
    write_private(folder.state, json.dumps(state.model_dump(mode="json"), indent=2))


def make_ray_folder() -> Path:
    """An empty one, of this account's only."""
    return Path(tempfile.mkdtemp(prefix="gkm-ray-", dir="/tmp"))


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Hold the stack's lock for a while; the system gives it back when a process ends, however that may be.

    InputError where another process holds it.
    """
    descriptor = os.open(folder.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder.root}: a stack runs there already; make stack-status shows it, make stack-stop ends it, "
                "or start a second one in another --folder"
            ) from None
        yield
    finally:
        os.close(descriptor)
