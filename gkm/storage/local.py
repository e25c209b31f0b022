"""Files of this machine: what `gkm.storage` does where a location is a path."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gkm.errors import InputError
from gkm.storage import atomic

Location = str | Path


def exists(location: Location) -> bool:
    """See `gkm.storage.exists`."""
    with _reading(location):
        return Path(location).exists()


def is_folder(path: Path) -> bool:
    """Whether `path`, wherever `gkm.storage.path` says it is, is a folder; InputError where nobody may look at it."""
    with _reading(path):
        return path.is_dir()


def read_bytes(location: Location) -> bytes:
    """See `gkm.storage.read_bytes`."""
    with _reading(location):
        return Path(location).read_bytes()


def read_range(location: Location, start: int, length: int) -> bytes:
    """See `gkm.storage.read_range`."""
    with _reading(location), Path(location).open("rb") as file:
        file.seek(start)
        return file.read(length)


def write_bytes(location: Location, data: bytes, if_absent: bool) -> bool:
    """See `gkm.storage.write_bytes`."""
    path = Path(location)
    with _explained(path):
        if if_absent:
            return atomic.write_absent(path, data)
        atomic.write_whole(path, data)
    return True


def upload(path: Path, location: Location) -> None:
    """See `gkm.storage.upload`."""
    with replacing(Path(location)) as partial:
        shutil.copyfile(path, partial)


def download(location: Location, path: Path) -> None:
    """See `gkm.storage.download`."""
    if not Path(location).is_file():
        raise InputError(f"{location}: cannot be read (no such file); check the path")
    upload(Path(location), path)


def list_files(location: Location) -> list[str]:
    """See `gkm.storage.list_files`."""
    folder = Path(location)
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(atomic.PARTIAL))
    return sorted(path.relative_to(folder).as_posix() for path in files)


def delete(location: Location) -> None:
    """See `gkm.storage.delete`."""
    path = Path(location)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """`gkm.storage.atomic.whole`, with an InputError for what the operating system refuses, such as a full disk."""
    with _explained(path), atomic.whole(path) as partial:
        yield partial


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({_reason(error)}); make room or permission, or choose another place"
        ) from error


@contextmanager
def _reading(location: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{location}: cannot be read ({_reason(error)}); check the path and its permissions") from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
