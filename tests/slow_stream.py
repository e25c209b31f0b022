"""A stream on which a line takes a while, to see what comes after it."""

import io
import threading
import time


class SlowStream(io.StringIO):
    """Each write takes 0.3 seconds; `begun` is set once one is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def write(self, text: str) -> int:
        self.begun.set()
        time.sleep(0.3)
        return super().write(text)
