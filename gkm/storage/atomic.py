"""A local path in; a file out that is whole and on the disk when it gets that name, or does not get it.

The one place that writes files of this machine whole. OSErrors pass as they are, with `path` as their file name, for
callers that tell a full disk from other faults; `gkm.storage.replacing` makes sentences of them. Whole folders are
another matter: `gkm.training.place` and `gkm.data.preparation.unfinished` rename them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

PARTIAL = ".partial"
"""How names of unfinished files end."""
_NOT_KNOWN = {errno.EINVAL, errno.ENOTSUP}
"""What file systems answer that know no fsync."""


@contextmanager
def whole(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A name to write to; it takes the place of `path` if the block ends well, and vanishes if not.

    It lies in the folder `aside` (on the same file system), if given, and otherwise hidden beside `path`, whose folders
    are made if need be.
    """
    with partial(path, aside) as unfinished:
        yield unfinished
        _to_disk(unfinished)
        os.replace(unfinished, path)
        _to_disk(path.parent)


def write_whole(path: Path, data: bytes, aside: Path | None = None) -> None:
    """`data` as the contents of `path`; see `whole`."""
    with whole(path, aside) as unfinished:
        unfinished.write_bytes(data)


def write_absent(path: Path, data: bytes) -> bool:
    """As `write_whole`, unless `path` is there, even if it appears at the same moment; whether it holds `data` now."""
    with partial(path) as unfinished:
        unfinished.write_bytes(data)
        _to_disk(unfinished)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return path.read_bytes() == data
        except OSError:  # a file system without hard links
            if path.exists():
                return path.read_bytes() == data
            os.replace(unfinished, path)
        _to_disk(path.parent)
    return True


@contextmanager
def partial(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A name for what will be `path`, of this call's own and gone afterwards; the folders of both are made."""
    # Names of files may have 255 bytes: a long one is cut, so that there is room for the rest.
    unfinished = (aside or path.parent) / f".{path.name[:40]}.{os.getpid()}-{uuid4().hex[:8]}{PARTIAL}"
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
    except OSError as error:
        if error.filename in (None, str(unfinished)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Returns when the contents of a file, or the names in a folder, would survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_KNOWN:
            raise
    finally:
        os.close(descriptor)
