"""A data set in the making: where its shards go, which of them are finished after an interruption, and its completion.

On this machine it grows in a folder beside its own, `.NAME.unfinished`, which is renamed when it is whole. S3 has no
renaming: there the shards go to their place, and the manifest, written last, makes them a data set.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gkm import storage
from gkm.data.dataset.manifest import MANIFEST, is_of_dataset
from gkm.errors import InputError

_RECEIPTS = "unfinished"
_RECEIPT = re.compile(rf"{_RECEIPTS}/[A-Za-z0-9_.-]+\.json")


class Unfinished:
    """A place for shards and their receipts. A receipt is written when its shard is, and says what it holds."""

    def __init__(self, out: str | Path) -> None:
        self.out = storage.absolute(out)
        path = Path(self.out)
        remote = storage.is_remote(out)
        self.location = self.out if remote else str(path.with_name(f".{path.name}.unfinished"))
        """Where the shards go."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else on this machine works on it meanwhile; what was left half-written is removed.

        Finished shards stay when the block fails; without any, nothing does.
        """
        if storage.is_remote(self.out):
            yield
            return
        folder = Path(self.location)
        with _explained(self.out):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = folder.stat().st_ino == os.fstat(descriptor).st_ino
            except (BlockingIOError, FileNotFoundError):
                alone = False
            if not alone:
                raise InputError(f"{self.out}: another process is preparing it; wait for it to end")
            with _explained(self.out):
                yield
        finally:
            if not self.receipts():
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)

    def receipts(self) -> list[str]:
        """Names of the finished shards."""
        receipts = storage.list_files(storage.join(self.location, _RECEIPTS))
        return [name.removesuffix(".json") for name in receipts]

    def receipt(self, shard: str) -> bytes:
        """What was said of a finished shard."""
        return storage.read_bytes(self._receipt(shard))

    def write_receipt(self, shard: str, receipt: bytes) -> None:
        """Makes a shard, which is there already, a finished one."""
        storage.write_bytes(self._receipt(shard), receipt)

    def complete(self, files: Mapping[str, bytes], shards: Iterable[str], *, replace: bool) -> None:
        """Adds `files`, the manifest last, and makes all of it the data set; drops what belongs to no part of it.

        InputError if another data set appeared there meanwhile.
        """
        keep = {*files, *shards}
        appeared = InputError(f"{self.out}: another data set appeared there meanwhile; give another place")
        if not storage.is_remote(self.out):
            if not replace and storage.exists(storage.join(self.out, MANIFEST)):
                raise appeared
            for name in _leftovers(Path(self.location), keep):
                storage.delete(storage.join(self.location, name))
        for name in sorted(files, key=lambda name: name == MANIFEST):
            location, absent = storage.join(self.location, name), name == MANIFEST and not replace
            if not storage.write_bytes(location, files[name], if_absent=absent):
                raise appeared
        if not storage.is_remote(self.out):
            _move(Path(self.location), Path(self.out))
        self._drop_all_but(keep)

    def tidy(self) -> None:
        """Removes receipts that a finished data set still has, after a run that ended at the last moment."""
        storage.delete(storage.join(self.out, _RECEIPTS))

    def _drop_all_but(self, keep: set[str]) -> None:
        for name in storage.list_files(self.out):
            if name not in keep and (is_of_dataset(name) or _RECEIPT.fullmatch(name)):
                storage.delete(storage.join(self.out, name))
        if not storage.is_remote(self.out):
            shutil.rmtree(Path(self.out, _RECEIPTS), ignore_errors=True)

    def _receipt(self, shard: str) -> str:
        return storage.join(self.location, _RECEIPTS, f"{shard}.json")


def refuse_occupied(out: str | Path, overwrite: bool) -> None:
    """InputError if preparing to `out` would lose something: another data set, unless `overwrite`; or any other file.

    Shards without a manifest are of a preparation that did not end.
    """
    if not storage.is_remote(out) and Path(out).is_file():
        raise InputError(f"{out}: is a file; give a folder")
    for name in storage.list_files(out):
        if not (is_of_dataset(name) or _RECEIPT.fullmatch(name)):
            raise InputError(f"{out}: holds {name}, which is not of a data set; give an empty or a new folder")
    if storage.exists(storage.join(out, MANIFEST)) and not overwrite:
        raise InputError(f"{out}: holds another data set; give another folder, or --overwrite to replace it")


def _leftovers(folder: Path, keep: set[str]) -> list[str]:
    """Files of processes that were killed, and shards of earlier attempts."""
    return [path.name for path in folder.iterdir() if path.is_file() and path.name not in keep]


def _move(folder: Path, target: Path) -> None:
    """`folder`, whose files are on the disk already, takes the place of the folder `target`."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        target.rename(old)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{place}: cannot be written ({reason}); make room or permission, or choose another place"
        ) from error
