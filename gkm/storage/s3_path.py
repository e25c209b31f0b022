"""A location in S3 in, a `pathlib` path out: for code that walks folders and reads files, wherever they are.

It can be read and walked, not written. Files are fetched in parts as they are read, small ones first, so that a header
costs little and a whole file few requests.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Generator
from functools import partial
from pathlib import PosixPath
from typing import IO, Any

from gkm.storage import s3
from gkm.storage.parts import Parts

FIRST_BYTES = 2**16
"""Of a file, fetched when it is opened and read; each later part is up to four times as large."""
_SPELLING = "s3://"


class S3Path(PosixPath):
    """Reads what lies at an `s3://bucket/key` location."""

    _known: os.stat_result | None = None

    def __str__(self) -> str:
        return _SPELLING + super().__str__().removeprefix("s3:/").removeprefix("/")

    def absolute(self) -> S3Path:
        return self

    def resolve(self, strict: bool = False) -> S3Path:
        return self

    def exists(self) -> bool:
        return self._mode() != 0

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self._mode())

    def is_file(self) -> bool:
        return stat.S_ISREG(self._mode())

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size and time of a file, or the bare fact of a folder; FileNotFoundError."""
        if self._known is None:
            entry = s3.status(str(self))
            if entry is not None:
                self._known = _file(entry)
            elif s3.holds_files(str(self)):
                self._known = _folder(str(self))
            else:
                raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(self))
        return self._known

    def iterdir(self) -> Generator[S3Path, None, None]:
        """Files and folders right below; what is known of them is kept, so that `stat` costs nothing."""
        for entry in s3.children(str(self)):
            child = self / entry.name.rstrip("/")
            child._known = _folder(str(child)) if entry.name.endswith("/") else _file(entry)
            yield child

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """For reading only."""
        if set(mode) - set("rbt"):
            raise io.UnsupportedOperation(f"{self}: is read here, not written")
        file = io.BufferedReader(Parts(partial(s3.read_range, str(self)), self.stat().st_size, FIRST_BYTES))
        return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """The whole file at once."""
        return s3.read_bytes(str(self))

    def _mode(self) -> int:
        # pathlib's own would take a refusal, which is a ValueError, for "no".
        try:
            return self.stat().st_mode
        except FileNotFoundError:
            return 0


def _file(entry: s3.Entry) -> os.stat_result:
    seconds = entry.modified.timestamp()
    values = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, entry.size, int(seconds), int(seconds), int(seconds))
    return os.stat_result(values, {"st_mtime_ns": int(seconds * 1000) * 1_000_000})


def _folder(location: str) -> os.stat_result:
    identity = int(hashlib.sha256(location.encode()).hexdigest()[:15], 16)  # tells folders apart, as an inode does
    return os.stat_result((stat.S_IFDIR | 0o555, identity, 0, 1, 0, 0, 0, 0, 0, 0), {"st_mtime_ns": 0})
