"""Locations in, bytes and names out; a write is complete or absent.

A location is a local path today and will be an `s3://bucket/prefix` URI as well; callers use these calls for both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gkm.errors import InputError

Location = str | Path

_PARTIAL = ".partial"


def join(location: Location, *parts: str) -> str:
    """`location` with `parts` below it."""
    if _is_remote(location):
        return "/".join([str(location).rstrip("/"), *parts])
    return str(Path(location, *parts))


def absolute(location: Location) -> str:
    """`location` such that it means the same in any working directory of this machine."""
    return str(location) if _is_remote(location) else str(Path(location).resolve())


def local_path(location: Location) -> Path:
    """The local path of `location`; InputError if it is not on this machine."""
    if _is_remote(location):
        raise InputError(f"{location}: S3 locations are not supported yet; give a local folder")
    return Path(location)


def exists(location: Location) -> bool:
    """Whether a file or folder is there."""
    return local_path(location).exists()


def read_bytes(location: Location) -> bytes:
    """Contents of a file; InputError names it if it cannot be read."""
    path = local_path(location)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); check the path and its permissions") from None


def write_bytes(location: Location, data: bytes) -> None:
    """Writes a file, and the folders above it; readers see the old contents or the new, never a part."""
    path = local_path(location)
    with replacing(path) as partial:
        partial.write_bytes(data)


def list_files(location: Location) -> list[str]:
    """Names of all files below `location`, relative to it, with forward slashes, sorted; none if it is not there."""
    folder = local_path(location)
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(_PARTIAL))
    return sorted(path.relative_to(folder).as_posix() for path in files)


def delete(location: Location) -> None:
    """Removes a file or a folder with all it holds; nothing happens if it is not there."""
    path = local_path(location)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the place of `path` if the block ends well, and vanishes if not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(location: Location, *, replace: bool = False) -> Iterator[str]:
    """A scratch folder that becomes `location` if the block ends without an error, and vanishes if not.

    `location` must be absent or empty, unless `replace` is set. InputError if another process is writing it.
    """
    target = local_path(location).absolute()
    scratch = target.with_name(f".{target.name}{_PARTIAL}")
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _lock_folder(scratch, target)
    try:
        with _explained(target):
            for left_over in scratch.iterdir():
                delete(left_over)
            yield str(scratch)
            _move(scratch, target, replace)
    finally:
        # After a move the scratch name is free again and may belong to the next writer: only a failed block removes it.
        if scratch.exists() and scratch.stat().st_ino == os.fstat(descriptor).st_ino:
            shutil.rmtree(scratch, ignore_errors=True)
        os.close(descriptor)


def _lock_folder(scratch: Path, target: Path) -> int:
    """Creates `scratch` and locks it; the kernel frees the lock when the process ends, however it ends."""
    while True:
        scratch.mkdir(exist_ok=True)
        descriptor = os.open(scratch, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(f"{target}: another process is writing it; wait for it to end") from None
        with suppress(FileNotFoundError):
            if scratch.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _move(scratch: Path, target: Path, replace: bool) -> None:
    if not (replace and target.exists()):
        scratch.rename(target)
        return
    old = target.with_name(f".{target.name}.old{_PARTIAL}")
    delete(old)
    target.rename(old)
    scratch.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({_reason(error)}); make room or permission, or choose another place"
        ) from error


def _is_remote(location: Location) -> bool:
    return str(location).startswith("s3:/")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
