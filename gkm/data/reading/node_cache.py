"""Shards in, decoded files on the node's own disk out: each made once, whatever happens, within a limit of bytes.

For every shard there is a file `KEY.planes`, with dual-pixel views another, which gets its name when it is verified and
whole. Whoever fills it holds
the lock of `KEY.lock`; whoever uses it, or fills the file that will become it, shares the lock of that file itself. The
kernel frees locks however a process ends: so what a killed filler left is known, and what is in use is never evicted.
The time of a file tells when it was last opened.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gkm.data.dataset.manifest import ShardEntry
from gkm.data.dataset.shard_file import SIDES
from gkm.data.reading.cached_shard import CachedShard, decoded_bytes, fill
from gkm.errors import InputError

SPARE_BYTES = 2**29
"""Of the disk; the cache leaves them to checkpoints and logs."""
FILLERS = 4
"""Shards that one process fills at once; each takes about the size of a shard of memory."""


class _BusyError(Exception):
    """Another process or thread is filling the shard."""


@dataclass(frozen=True)
class NodeCache:
    """The decoded shards in a folder of whichever node it is opened on; travels to other nodes as these two values."""

    place: str | Path | None = None
    """A folder on the node's own disk; None: `default_cache()`."""
    limit_bytes: int | None = None
    """What the folder may hold, of all data sets; beyond it the least recently opened shards go. 0: nothing is kept.
    None: what the disk has."""

    @property
    def folder(self) -> Path:
        """The folder on this node."""
        return Path(self.place) if self.place is not None else default_cache()

    def open(
        self, data: str | Path, shards: Sequence[ShardEntry], columns: Sequence[str] = SIDES
    ) -> list[CachedShard | None]:
        """The photographs `columns` of the data set's shards, decoded and mapped; None for shards without room.

        The first on a node fills the cache, several processes share the work. Raises InputError if a shard is damaged,
        or if the folder cannot be used.
        """
        if self.limit_bytes == 0:
            return [None] * len(shards)
        self._make_folder()
        opened: dict[str, CachedShard | None] = {}

        def opened_unless_busy(shard: ShardEntry) -> None:
            with suppress(_BusyError):
                opened[shard.sha256] = self._open(data, shard, columns, wait=False)

        try:
            with ThreadPoolExecutor(min(FILLERS, os.cpu_count() or 1)) as pool:
                list(pool.map(opened_unless_busy, shards))
            for shard in shards:  # those that others were filling meanwhile
                if shard.sha256 not in opened:
                    opened[shard.sha256] = self._open(data, shard, columns, wait=True)
        except OSError as error:
            raise self._unusable(error) from None
        return [opened[shard.sha256] for shard in shards]

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        if self.place is None:
            _refuse_foreign(self.folder)

    def _open(self, data: str | Path, shard: ShardEntry, columns: Sequence[str], *, wait: bool) -> CachedShard | None:
        views = "" if columns == SIDES else "-views"
        path = self.folder / f"{shard.sha256[:32]}{views}.planes"
        if cached := _mapped(path, shard, columns):
            return cached
        with _filling(path.with_suffix(".lock"), wait):
            return _mapped(path, shard, columns) or self._filled(path, data, shard, columns)

    def _filled(self, path: Path, data: str | Path, shard: ShardEntry, columns: Sequence[str]) -> CachedShard | None:
        """Makes the file of a shard; None if there is no room for it."""
        partial = path.with_name(f".{path.name}.partial")
        descriptor = self._reserve(partial, decoded_bytes(shard, columns))
        if descriptor is None:
            return None
        try:
            # Not by `gkm.storage.atomic`: the file has its room and its lock before it is filled, and keeps both after.
            fill(partial, data, shard, columns)
            partial.replace(path)
            return CachedShard(descriptor, shard, columns)
        finally:
            os.close(descriptor)
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _reserve(self, partial: Path, needed: int) -> int | None:
        """Makes `partial` a file of `needed` bytes, evicting what is not in use: its descriptor, if there was room."""
        with (self.folder / "room.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left_over in self.folder.glob(".*.partial"):  # by fillers that were killed
                with _unused(left_over) as unused:
                    if unused:
                        left_over.unlink()
            return _allocated(partial, needed) if self._evict(needed - self._free_bytes()) else None

    def _free_bytes(self) -> int:
        """What the disk and the limit leave."""
        on_disk = shutil.disk_usage(self.folder).free - SPARE_BYTES
        if self.limit_bytes is None:
            return on_disk
        while True:
            with suppress(FileNotFoundError):  # renamed or evicted meanwhile: count again
                files = [path for path in self.folder.iterdir() if path.suffix in (".planes", ".partial")]
                return min(on_disk, self.limit_bytes - sum(path.stat().st_size for path in files))

    def _evict(self, missing: int) -> bool:
        """Frees `missing` bytes, the least recently opened shards first; if it cannot be done, nothing is evicted."""
        victims: list[Path] = []
        with ExitStack() as held:
            for path in sorted(self.folder.glob("*.planes"), key=_last_opened):
                if missing <= 0:
                    break
                if held.enter_context(_unused(path)):
                    victims.append(path)
                    missing -= path.stat().st_size
            if missing > 0:
                return False
            for path in victims:
                path.unlink(missing_ok=True)
        return True

    def _unusable(self, error: OSError) -> InputError:
        reason = (error.strerror or str(error)).lower()
        return InputError(f"{self.folder}: cannot be used as cache ({reason}); give another folder")


def default_cache() -> Path:
    """A folder of this user's on the node's own disk."""
    return Path(tempfile.gettempdir()) / f"gkm-cache-{os.getuid()}"


def _refuse_foreign(folder: Path) -> None:
    """InputError if others could have put files into `folder`, whose name anyone can guess."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise InputError(
            f"{folder}: belongs to or can be written by others, who could put wrong pixels there; "
            "remove it, or give a cache folder of your own"
        )


def _mapped(path: Path, shard: ShardEntry, columns: Sequence[str]) -> CachedShard | None:
    """The shard in the file `path`, if it is there and whole; it is then in use."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        status = os.fstat(descriptor)
        if (
            status.st_size != decoded_bytes(shard, columns) or status.st_nlink == 0
        ):  # cut short, or evicted at this moment
            return None
        with suppress(PermissionError):  # of a cache shared with another user
            os.utime(descriptor)
        return CachedShard(descriptor, shard, columns)
    finally:
        os.close(descriptor)


def _last_opened(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # someone cleans the folder
        return 0


def _allocated(path: Path, size: int) -> int | None:
    """A new file of that size, in use, open; None if the disk is full. Later that would show by a deadly signal."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        os.truncate(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        path.unlink()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return None
    return descriptor


@contextmanager
def _filling(lock: Path, wait: bool) -> Iterator[None]:
    """Holds the lock of those who fill a shard; raises _BusyError if another does and `wait` is not set."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _BusyError from None
        yield


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Whether a file is there and nobody uses it; nobody can begin to before the block ends."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            yield False
        else:
            yield True
