"""Shards in, decoded files on the node's own disk out: each made once, whatever happens, within a limit of bytes.

For every shard there is a file `KEY.planes`, which gets its name when it is verified and whole, and a file `KEY.lock`,
which stays. Whoever fills a shard holds its lock alone, whoever uses it shares it; the kernel frees both however a
process ends. So a dead filler's remains are known by their free lock, and files in use are never evicted. The time of
the lock file tells when its shard was last opened.
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
from pathlib import Path

from gkm.data.cached_shard import CachedShard, decoded_bytes, fill
from gkm.data.manifest import ShardEntry
from gkm.errors import InputError

SPARE_BYTES = 2**29
"""Of the disk; the cache leaves them to checkpoints and logs."""
FILLERS = 4
"""Shards that one process fills at once; each takes about the size of a shard of memory."""


class _BusyError(Exception):
    """Another process or thread is filling the shard."""


class NodeCache:
    """The decoded shards in `folder`; beyond `limit_bytes` the least recently opened go."""

    def __init__(self, folder: str | Path | None = None, limit_bytes: int | None = None) -> None:
        """Raises InputError if the folder cannot be used."""
        self.folder = Path(folder) if folder is not None else default_cache()
        self.limit_bytes = limit_bytes
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        if folder is None:
            _refuse_foreign(self.folder)

    def open(self, data: str | Path, shards: Sequence[ShardEntry]) -> list[CachedShard | None]:
        """The shards of the data set `data`, decoded and mapped; None for those that there is no room for.

        The first on a node fills the cache, several processes share the work. Raises InputError if a shard is damaged.
        """
        if self.limit_bytes == 0:
            return [None] * len(shards)
        opened: dict[str, CachedShard | None] = {}

        def opened_unless_busy(shard: ShardEntry) -> None:
            with suppress(_BusyError):
                opened[shard.sha256] = self._open(data, shard, wait=False)

        try:
            with ThreadPoolExecutor(min(FILLERS, os.cpu_count() or 1)) as pool:
                list(pool.map(opened_unless_busy, shards))
            for shard in shards:  # those that others were filling meanwhile
                if shard.sha256 not in opened:
                    opened[shard.sha256] = self._open(data, shard, wait=True)
        except OSError as error:
            raise self._unusable(error) from None
        return [opened[shard.sha256] for shard in shards]

    def _open(self, data: str | Path, shard: ShardEntry, *, wait: bool) -> CachedShard | None:
        path = self.folder / f"{shard.sha256[:32]}.planes"
        needed = decoded_bytes(shard)
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                _flock(lock, fcntl.LOCK_SH, wait)
                if _is_whole(path, needed):
                    os.utime(lock)
                    return CachedShard(path, shard, lock)
                fcntl.flock(lock, fcntl.LOCK_UN)
                _flock(lock, fcntl.LOCK_EX, wait)
                if not _is_whole(path, needed) and not self._fill(path, data, shard, needed):
                    os.close(lock)
                    return None
        except BaseException:
            os.close(lock)
            raise

    def _fill(self, path: Path, data: str | Path, shard: ShardEntry, needed: int) -> bool:
        """Makes the file of a shard whose lock is held alone; whether there is room for it."""
        partial = _partial(path)
        try:
            if not self._reserve(partial, needed):
                return False
            fill(partial, data, shard)
            partial.replace(path)
            return True
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _reserve(self, partial: Path, needed: int) -> bool:
        """Makes `partial` a file of `needed` bytes, evicting what is not in use; whether there was room."""
        with (self.folder / "room.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._remove_remains()
            partial.unlink(missing_ok=True)
            return self._evict(needed - self._free_bytes()) and _allocate(partial, needed)

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
            for lock in sorted(self.folder.glob("*.lock"), key=lambda path: path.stat().st_mtime_ns):
                if missing <= 0:
                    break
                path = lock.with_suffix(".planes")
                if path.exists() and held.enter_context(_alone(lock)):
                    victims.append(path)
                    missing -= path.stat().st_size
            if missing > 0:
                return False
            for path in victims:
                path.unlink()
        return True

    def _remove_remains(self) -> None:
        """What fillers left behind that were killed."""
        for partial in self.folder.glob(".*.partial"):
            with _alone(self.folder / f"{partial.name[1:].split('.')[0]}.lock") as alone:
                if alone:
                    partial.unlink(missing_ok=True)

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


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _is_whole(path: Path, total_bytes: int) -> bool:
    """Whether the decoded file is there; it gets its name only once it is verified and whole."""
    try:
        return path.stat().st_size == total_bytes
    except FileNotFoundError:
        return False


def _allocate(path: Path, size: int) -> bool:
    """Makes a file of that size; whether the disk has room. Later it would show by a signal that kills the process."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        os.truncate(descriptor, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        path.unlink()
        return False
    finally:
        os.close(descriptor)
    return True


def _flock(lock: int, kind: int, wait: bool) -> None:
    try:
        fcntl.flock(lock, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _BusyError from None


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Holds `lock` alone, if nobody else holds it: whether that is so."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
