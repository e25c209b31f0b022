"""An application in, served on 127.0.0.1 until the process is told to stop."""

from __future__ import annotations

import errno
import socket

import uvicorn
from starlette.types import ASGIApp

from gkm.errors import InputError

HOST = "127.0.0.1"
_SECONDS_TO_END = 1


def listen(port: int) -> socket.socket:
    """A socket that takes connections from this machine alone; port 0: one that is free. InputError if it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(
            f"--port {port}: cannot be used ({(error.strerror or '').lower()}); choose another, or 0 for a free one"
        ) from None
    return listener


def server(app: ASGIApp) -> uvicorn.Server:
    """A server for `app`; `run(sockets=[...])` returns after Ctrl-C or SIGTERM, whatever still goes on."""
    config = uvicorn.Config(
        app,
        access_log=False,
        http="h11",
        lifespan="off",
        log_config=None,  # warnings and errors go where the program's own go
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
        ws="none",
    )
    return uvicorn.Server(config)
