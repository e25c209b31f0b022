"""The ports a user asks for and those of the last start in; a free port of 127.0.0.1 for every server out."""

import socket
from collections.abc import Mapping

from gkm.errors import InputError

CHOSEN = ("ray", "mlflow", "s3", "postgres")
"""Those that a user may choose; the others are for servers among themselves."""
INSIDE = (
    "ray_gcs", "ray_agent", "ray_client", "ray_metrics", "s3_grpc", "master", "master_grpc", "volume", "volume_grpc",
    "filer", "filer_grpc",
)  # fmt: skip


def choose_ports(asked: Mapping[str, int | None], last: Mapping[str, int]) -> dict[str, int]:
    """A port for each name: the one asked for, or that of the last start if it is free, or any free one.

    InputError where one that was asked for is taken, or asked for twice.
    """
    wanted = {name: port for name, port in asked.items() if port is not None}
    for name, port in wanted.items():
        if not is_free(port):
            raise InputError(
                f"port {port} of 127.0.0.1 is taken by another program; choose another --{name}-port, or leave it out"
            )
    if len(set(wanted.values())) < len(wanted):
        raise InputError("two servers cannot have the same port; choose others, or leave them out")
    chosen = dict(wanted)
    held: list[socket.socket] = []
    try:
        for name in (*CHOSEN, *INSIDE):
            if name not in chosen:
                before = last.get(name, 0)
                free = before if before and before not in chosen.values() and is_free(before) else 0
                held.append(_held(free, set(chosen.values())))
                chosen[name] = held[-1].getsockname()[1]
    finally:
        for opened in held:
            opened.close()
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def answers(port: int) -> bool:
    """Whether something listens on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _held(port: int, without: set[int]) -> socket.socket:
    """A socket that listens on `port`, or where that is 0 on any that is free."""
    while True:
        opened = socket.create_server(("127.0.0.1", port))
        if opened.getsockname()[1] not in without:
            return opened
        opened.close()
