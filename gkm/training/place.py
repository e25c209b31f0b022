"""A local folder or an S3 prefix in; whole folders and files, written and deleted at one stroke, out.

What is being written lies aside until it is whole: in a hidden folder of the place itself, or, for a place in S3, in
the machine's folder for temporary files. `gkm.training.scratch` removes what killed processes leave there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from gkm import storage
from gkm.storage import atomic
from gkm.training.checkpoint import SUMS_NAME
from gkm.training.course.uploads import Uploads
from gkm.training.scratch import clean, scratch

Write = Callable[[Path], object]
"""Writes into the empty directory it is given, `SHA256SUMS` last."""
_HIDDEN = ".unfinished-"
_TEMPORARY = "gkm-trial-"


class Place(Protocol):
    """Where files of a trial are; names are relative to it, with forward slashes."""

    def files(self) -> list[str]:
        """Names of all files."""

    def read(self, name: str) -> bytes:
        """Contents of a file; InputError if it cannot be read."""

    def write(self, name: str, data: bytes) -> None:
        """A file, whole or not at all."""

    def write_folder(self, name: str, write: Write) -> None:
        """A folder in the place of an older one; without its `SHA256SUMS` until it is whole."""

    def open_folder(self, name: str) -> AbstractContextManager[Path]:
        """A folder to be read, on this machine."""

    def delete_folder(self, name: str) -> None:
        """Nothing happens if it is not there."""

    @property
    def idle(self) -> bool:
        """Whether all that was written and deleted is, or has failed."""

    def wait(self) -> None:
        """Return once all that was written and deleted is; raises what failed."""


class LocalPlace:
    """A folder of this machine, or of a file system it shares with others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        clean(folder, _HIDDEN)

    def files(self) -> list[str]:
        found = []
        for folder, folders, names in os.walk(self._folder):  # passes over what is deleted meanwhile
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = Path(folder).relative_to(self._folder)
            found += [(below / name).as_posix() for name in names]
        return sorted(found)

    def read(self, name: str) -> bytes:
        return storage.read_bytes(self._folder / name)

    def write(self, name: str, data: bytes) -> None:
        target = self._folder / name
        with scratch(self._folder, _HIDDEN) as aside:
            atomic.write_whole(target, data, aside)

    def write_folder(self, name: str, write: Write) -> None:
        target = self._folder / name
        with scratch(self._folder, _HIDDEN) as aside:
            write(aside / "new")
            # A folder cannot take another's place at one stroke as files do; in between, an older checkpoint counts.
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(aside / "old")
            (aside / "new").rename(target)

    @contextmanager
    def open_folder(self, name: str) -> Iterator[Path]:
        yield self._folder / name

    def delete_folder(self, name: str) -> None:
        target = self._folder / name
        if target.exists():
            with scratch(self._folder, _HIDDEN) as aside:
                target.rename(aside / "old")

    @property
    def idle(self) -> bool:
        return True

    def wait(self) -> None:
        pass


class RemotePlace:
    """A prefix in S3; with `uploads`, what is written there, and deleted, is so later, in order."""

    def __init__(self, location: str, uploads: Uploads | None = None) -> None:
        self._location = location
        self._uploads = uploads
        clean(Path(tempfile.gettempdir()), _TEMPORARY)

    def files(self) -> list[str]:
        return storage.list_files(self._location)

    def read(self, name: str) -> bytes:
        return storage.read_bytes(storage.join(self._location, name))

    def write(self, name: str, data: bytes) -> None:
        self._do(lambda: storage.write_bytes(storage.join(self._location, name), data))

    def write_folder(self, name: str, write: Write) -> None:
        with ExitStack() as stack:
            aside = stack.enter_context(scratch(Path(tempfile.gettempdir()), _TEMPORARY))
            write(aside / "new")
            folder = stack.pop_all()  # which stays until it is uploaded

        def upload() -> None:
            with folder:
                self._delete(name)
                storage.upload_folder(aside / "new", storage.join(self._location, name), last=SUMS_NAME)

        try:
            self._do(upload, folder.close)
        except BaseException:
            folder.close()
            raise

    @contextmanager
    def open_folder(self, name: str) -> Iterator[Path]:
        with scratch(Path(tempfile.gettempdir()), _TEMPORARY) as aside:
            storage.fetch(storage.join(self._location, name), aside / "copy")
            yield aside / "copy"

    def delete_folder(self, name: str) -> None:
        self._do(lambda: self._delete(name))

    @property
    def idle(self) -> bool:
        return self._uploads is None or self._uploads.idle

    def wait(self) -> None:
        if self._uploads is not None:
            self._uploads.wait()

    def _do(self, work: Callable[[], object], otherwise: Callable[[], object] = lambda: None) -> None:
        if self._uploads is None:
            work()
        else:
            self._uploads.put(work, otherwise)

    def _delete(self, name: str) -> None:
        location = storage.join(self._location, name)
        # Without its sums first: what a broken connection leaves of it is unfinished then, not damaged.
        storage.delete(storage.join(location, SUMS_NAME))
        storage.delete(location)


def open_place(location: str, *, background: bool = False) -> Place:
    """The place at `location`; removes what processes of this machine that are no more were writing.

    `background`: what is written to S3 is uploaded while whoever writes goes on.
    """
    if storage.is_remote(location):
        return RemotePlace(location, Uploads() if background else None)
    return LocalPlace(Path(location))
