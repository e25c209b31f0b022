"""The demo's page, served from a thread of the tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gkm.demo.app import Demo
from gkm.demo.server import listen, server


@contextmanager
def serving(choices: Any, *, most_bytes: int = 2_000_000, most_pixels: int = 1_000_000) -> Iterator[tuple[Demo, int]]:
    """The demo of `choices`, and the port where it answers."""
    demo = Demo(choices, most_bytes=most_bytes, most_pixels=most_pixels)
    listener = listen(0)
    running = server(demo.app())
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield demo, listener.getsockname()[1]
    running.should_exit = True
    thread.join()
    listener.close()
