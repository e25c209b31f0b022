"""Locations in, bytes and names out; a write is complete or absent.

A location is a local path or an `s3://bucket/prefix` URI; the same calls serve both. docs/s3.md says what they need.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gkm.errors import InputError
from gkm.storage import local
from gkm.storage.local import Location, is_folder, replacing

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = [
    "Location",
    "absolute",
    "arrow_filesystem",
    "delete",
    "download",
    "exists",
    "fetch",
    "is_folder",
    "is_remote",
    "join",
    "list_files",
    "local_path",
    "path",
    "read_bytes",
    "read_range",
    "replacing",
    "upload",
    "upload_folder",
    "write_bytes",
]


_AT_ONCE = 8
"""Files of a folder that are copied at the same time."""


class _Backend(Protocol):
    """What a module behind these calls provides."""

    def exists(self, location: Location, /) -> bool: ...
    def read_bytes(self, location: Location, /) -> bytes: ...
    def read_range(self, location: Location, start: int, length: int, /) -> bytes: ...
    def write_bytes(self, location: Location, data: bytes, if_absent: bool, /) -> bool: ...
    def upload(self, path: Path, location: Location, /) -> None: ...
    def download(self, location: Location, path: Path, /) -> None: ...
    def list_files(self, location: Location, /) -> list[str]: ...
    def delete(self, location: Location, /) -> None: ...


def is_remote(location: Location) -> bool:
    """Whether `location` is in S3 rather than on this machine."""
    return str(location).startswith("s3:/")


def join(location: Location, *parts: str) -> str:
    """`location` with `parts` below it."""
    if is_remote(location):
        return "/".join([absolute(location).rstrip("/"), *parts])
    return str(Path(location, *parts))


def absolute(location: Location) -> str:
    """`location` such that it means the same in any working directory of this machine."""
    if is_remote(location):
        return "s3://" + str(location).removeprefix("s3:/").removeprefix("/")  # a Path has eaten one slash
    return str(Path(location).resolve())


def local_path(location: Location) -> Path:
    """The local path of `location`; InputError if it is not on this machine."""
    if is_remote(location):
        raise InputError(f"{absolute(location)}: lies in S3; give a folder on this machine")
    return Path(location)


def path(location: Location) -> Path:
    """`location` to be walked and read as `pathlib` does it, wherever it is; one in S3 cannot be written so."""
    if not is_remote(location):
        return Path(location)
    from gkm.storage.s3_path import S3Path

    return S3Path(location)


def exists(location: Location) -> bool:
    """Whether a file or folder is there; InputError where nobody may look at it."""
    return _at(location).exists(location)


def read_bytes(location: Location) -> bytes:
    """Contents of a file; InputError names it if it cannot be read."""
    return _at(location).read_bytes(location)


def read_range(location: Location, start: int, length: int) -> bytes:
    """`length` bytes of a file from byte `start` on, fewer where it ends; InputError names it if it cannot be read."""
    return _at(location).read_range(location, start, length)


def write_bytes(location: Location, data: bytes, *, if_absent: bool = False) -> bool:
    """Writes a file, and the folders above it; readers see the old contents or the new, never a part.

    With `if_absent` a file that is there is left alone, even if it appears at the same moment. Returns whether the
    location holds `data` now.
    """
    return _at(location).write_bytes(location, data, if_absent)


def upload(path: Path, location: Location) -> None:
    """Copies the local file `path` to `location`, which gets it whole or stays as it was."""
    _at(location).upload(path, location)


def download(location: Location, path: Path) -> None:
    """Copies a file to the local `path`, which gets it whole or stays as it was; InputError if it cannot be read."""
    _at(location).download(location, path)


def upload_folder(folder: Path, location: Location, last: str | None = None) -> None:
    """Copies all files below the local `folder` to `location`, the one named `last` after the others."""
    names = local.list_files(folder)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda name: upload(folder / name, join(location, name)), (n for n in names if n != last)))
    if last in names:
        upload(folder / last, join(location, last))


def fetch(location: Location, path: Path) -> None:
    """Copies a file, or a folder with all it holds, to the local `path`; InputError if there is none."""
    if names := list_files(location):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda name: download(join(location, name), path / name), names))
    else:
        download(location, path)


def list_files(location: Location) -> list[str]:
    """Names of all files below `location`, relative to it, with forward slashes, sorted; none if it is not there."""
    return _at(location).list_files(location)


def delete(location: Location) -> None:
    """Removes a file or a folder with all it holds; nothing happens if it is not there."""
    _at(location).delete(location)


def arrow_filesystem(location: Location) -> tuple[FileSystem | None, str]:
    """`location` as Ray and pyarrow take it: a file system and a path on it; None stands for the local one.

    The file system speaks to S3 through the calls of this module. It holds no credentials, so it may be pickled.
    """
    if not is_remote(location):
        return None, str(location)
    from gkm.storage.arrow import s3_filesystem

    return s3_filesystem(), absolute(location).removeprefix("s3://")


def _at(location: Location) -> _Backend:
    if not is_remote(location):
        return local
    from gkm.storage import s3

    return s3
