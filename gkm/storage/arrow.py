"""S3 as a pyarrow file system, for Ray: its calls in, those of `gkm.storage.s3` out.

pyarrow's own S3 file system loses its retries where Ray sends it to a worker, takes explicit keys along in the clear,
and gives up on a server that is away for some seconds. This one travels as its name alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileSystemHandler, FileType, PyFileSystem

from gkm.storage import s3


def s3_filesystem() -> FileSystem:
    """All buckets; paths are `bucket/key`."""
    return PyFileSystem(_Handler())


class _Handler(FileSystemHandler):  # type: ignore[misc]
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handler)

    def __hash__(self) -> int:
        return hash(_Handler)

    def get_type_name(self) -> str:
        return "gkm-s3"

    def normalize_path(self, path: str) -> str:
        return path.strip("/")

    def get_file_info(self, paths: Iterable[str]) -> list[FileInfo]:
        return [_info(path) for path in paths]

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        base = selector.base_dir.rstrip("/")
        found: dict[str, FileInfo] = {}
        for entry in s3.entries(_location(base)):
            name = PurePosixPath(entry.name)
            for folder in list(name.parents)[:-1]:
                path = f"{base}/{folder}"
                found[path] = FileInfo(path, FileType.Directory)
            path = f"{base}/{name}"
            found[path] = FileInfo(path, FileType.File, size=entry.size, mtime=entry.modified)
        if not found and not selector.allow_not_found and s3.status(_location(base)) is None:
            raise FileNotFoundError(base)
        depth = len(PurePosixPath(base).parts) + 1
        return [info for path, info in found.items() if selector.recursive or len(PurePosixPath(path).parts) == depth]

    def create_dir(self, path: str, recursive: bool) -> None:
        """S3 has no folders: they are there as soon as something is in them."""

    def delete_dir(self, path: str) -> None:
        s3.delete(_location(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        s3.delete(_location(path))

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError("all buckets at once are not emptied here")

    def delete_file(self, path: str) -> None:
        s3.delete(_location(path))

    def move(self, src: str, dest: str) -> None:
        self.copy_file(src, dest)
        s3.delete(_location(src))

    def copy_file(self, src: str, dest: str) -> None:
        s3.write_bytes(_location(dest), s3.read_bytes(_location(src)), False)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        if s3.status(_location(path)) is None:
            raise FileNotFoundError(path)
        return pa.BufferReader(s3.read_bytes(_location(path)))

    def open_output_stream(self, path: str, metadata: object) -> pa.NativeFile:
        return pa.PythonFile(_Upload(path), mode="w")

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        raise NotImplementedError("objects in S3 cannot be appended to")


class _Upload:
    """What is written, sent when it is closed: one abandoned midway leaves no half object."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._content: io.BytesIO | None = io.BytesIO()

    @property
    def closed(self) -> bool:
        return self._content is None

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        assert self._content is not None
        return self._content.write(data)

    def tell(self) -> int:
        assert self._content is not None
        return self._content.tell()

    def flush(self) -> None:
        """Nothing leaves before `close`."""

    def close(self) -> None:
        if self._content is not None:
            content, self._content = self._content, None
            s3.write_bytes(_location(self._path), content.getvalue(), False)


def _location(path: str) -> str:
    return f"s3://{path.strip('/')}"


def _info(path: str) -> FileInfo:
    entry = s3.status(_location(path))
    if entry is not None:
        return FileInfo(path, FileType.File, size=entry.size, mtime=entry.modified)
    if s3.holds_files(_location(path)):
        return FileInfo(path, FileType.Directory)
    return FileInfo(path, FileType.NotFound)
