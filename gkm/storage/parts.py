"""A way to read any part of a file in, a file object that fetches no more of it than is read out."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

MOST_BYTES_AHEAD = 2**24


class Parts(io.RawIOBase):
    """A file that is read and not written.

    Args:
        read_range: gives so many bytes from a place on, fewer at the end.
        total_bytes: size of the file.
        ahead_bytes: how much is fetched at least, for readers that take small pieces one after the other; it grows
            fourfold with each part. 0: what is read, no more.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], total_bytes: int, ahead_bytes: int = 0) -> None:
        self._read_range = read_range
        self._total_bytes = total_bytes
        self._ahead_bytes = ahead_bytes
        self._place = 0
        self._start, self._part = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._total_bytes}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._total_bytes:
            return 0
        if not self._start <= self._place < self._start + len(self._part):
            wanted = min(max(len(buffer), self._ahead_bytes), self._total_bytes - self._place)
            self._start, self._part = self._place, self._read_range(self._place, wanted)
            self._ahead_bytes = min(4 * self._ahead_bytes, MOST_BYTES_AHEAD)
        begin = self._place - self._start
        read = self._part[begin : begin + len(buffer)]
        buffer[: len(read)] = read
        self._place += len(read)
        return len(read)
