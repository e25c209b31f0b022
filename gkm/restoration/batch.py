"""Photographs to restore in, files out: one after the other, what is there already left alone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gkm.data.photos import read_header
from gkm.errors import InputError
from gkm.evaluation import Restore
from gkm.networks import Network
from gkm.restoration.comparison import side_by_side
from gkm.restoration.inputs import Job
from gkm.restoration.photograph import Photograph, read_photograph
from gkm.restoration.restoring import restore
from gkm.restoration.writing import fitting, write_photograph
from gkm.storage import atomic

_UNFINISHED = re.compile(rf"\.(\d+)-[0-9a-f]{{8}}{re.escape(atomic.PARTIAL)}$")
"""End of the name of a file that a process, whose number stands in it, has not finished."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a photograph."""

    job: Job
    status: Literal["restored", "kept", "refused"]
    reason: str = ""
    """Why it was refused, one sentence that names it."""
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    bits: int | None = None


def is_done(job: Job) -> bool:
    """Whether all that it writes is there."""
    return all(map(_exists, job.outputs))


def pixels_of(job: Job) -> int:
    """How many pixels a photograph has, as a measure of the work; 0 where that cannot be told."""
    try:
        header = read_header(job.files[0])
    except InputError:
        return 0
    return header.width * header.height


def check(job: Job) -> Outcome:
    """What would become of a photograph that is to be restored; nothing is written."""
    try:
        seen = _read(job)
    except InputError as error:
        return Outcome(job=job, status="refused", reason=str(error))
    return Outcome(job=job, status="restored", size=seen[0].size, bits=seen[0].bits)


def restore_all(model: Network | Restore, jobs: Sequence[Job], *, overwrite: bool = False) -> Iterator[Outcome]:
    """Restores one photograph after the other; a restored one is whole or not there.

    Results that are there are kept, unless `overwrite`. What cannot be used is refused by its outcome, and the rest
    goes on. Raises InputError where results cannot be written.
    """
    for job in jobs:
        if is_done(job) and not overwrite:
            yield Outcome(job=job, status="kept")
            continue
        began = time.perf_counter()
        try:
            seen = _read(job)
            restored = _restored(model, job, seen, overwrite)
        except InputError as error:
            yield Outcome(job=job, status="refused", reason=str(error))
            continue
        _write(job, seen[0], restored, overwrite)
        seconds = time.perf_counter() - began
        yield Outcome(job=job, status="restored", seconds=seconds, size=restored.size, bits=restored.bits)


def _restored(model: Network | Restore, job: Job, seen: Sequence[Photograph], overwrite: bool) -> Photograph:
    """The restored photograph: the one of before, where its picture with before and after alone is missing."""
    if _exists(job.target) and not overwrite:
        return read_photograph(job.target)
    try:
        return restore(model, *seen)
    except InputError as error:
        raise InputError(f"{job.files[0]}: {error}") from None


def _write(job: Job, before: Photograph, restored: Photograph, overwrite: bool) -> None:
    """Writes all that belongs to it; the restored photograph itself comes last."""
    for output in job.outputs:
        _remove_unfinished(output)
    if job.comparison is not None:
        write_photograph(job.comparison, side_by_side(before, restored), "png")
    if overwrite or not _exists(job.target):
        write_photograph(job.target, restored, job.form)


def _read(job: Job) -> list[Photograph]:
    seen = [read_photograph(file) for file in job.files]
    sizes = ["{} is {}x{}".format(file, *photograph.size) for file, photograph in zip(job.files, seen, strict=True)]
    if len({photograph.size for photograph in seen}) > 1:
        raise InputError(f"{' and '.join(sizes)} pixels; give two views of one photograph")
    fitting(seen[0], job.form, str(job.files[0]))
    return seen


def _exists(path: Path) -> bool:
    """Whether there is something but a folder; those who write complain of folders, and of names that cannot be."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        return False


def _remove_unfinished(target: Path) -> None:
    """Removes what a process that was killed had begun to write there."""
    with suppress(OSError):
        for path in target.parent.glob(f".{_without_wildcards(target.name[:40])}.*{atomic.PARTIAL}"):
            found = _UNFINISHED.search(path.name)
            if found is not None and not _runs(int(found[1])):
                path.unlink(missing_ok=True)


def _without_wildcards(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _runs(process: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
