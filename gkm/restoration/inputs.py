"""Files, folders and globs in, photographs with places for their results out."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gkm import storage
from gkm.data.photos import SUFFIXES as PHOTO_SUFFIXES
from gkm.errors import InputError
from gkm.restoration.writing import SUFFIXES, Format, default_format

_TRIED = (*PHOTO_SUFFIXES, ".gif", ".apng")
"""Suffixes of files in folders that are taken for photographs, if only to say why they cannot be used."""
_WILD = frozenset("*?[")
_COMPARED = "-compare.png"
"""How names of pictures with before and after end."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to restore: a photograph, or the left and the right view of one."""

    files: tuple[Path, ...]
    target: Path
    """Where the restored one goes."""
    form: Format
    comparison: Path | None = None
    """Where a picture with before and after goes, if one is wanted."""
    named: bool = True
    """Whether its file was given by name, not by a folder or a glob."""

    @property
    def outputs(self) -> list[Path]:
        """All that is written."""
        return [self.target, *([self.comparison] if self.comparison else [])]


@dataclass(frozen=True, kw_only=True)
class _Found:
    files: tuple[Path, ...]
    below: Path
    """Folder of the result, relative to that of all results."""
    named: bool


@dataclass(frozen=True)
class Jobs:
    """What was asked for."""

    jobs: tuple[Job, ...]
    ignored: int
    """Files in folders whose names are not those of photographs."""


def find_jobs(
    photos: Sequence[Path],
    views: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    form: Format | None = None,
    comparison: bool = False,
) -> Jobs:
    """What to restore, each photograph once; results go to `out`, of a folder's subfolders to the same ones there.

    Args:
        photos: files, folders (with all that is below them but hidden files and `out`), and globs such as "a/**/*.jpg".
        form: of the results; None: that of the photograph where it is PNG or TIFF, otherwise PNG.
        comparison: whether a picture with before and after is wanted, too.

    Raises InputError where a folder or glob has no photographs, where results would replace each other, or a
    photograph that was given, and for places in S3.
    """
    for place in (*photos, *(view for pair in views for view in pair), out):
        storage.local_path(place)
    found: dict[Path, _Found] = {}
    ignored = 0
    for given in photos:
        more, others = _expanded(given, out)
        ignored += others
        for one in more:
            found.setdefault(_identity(one.files[0]), one)
    pairs = [_Found(files=pair, below=Path(), named=True) for pair in views]
    jobs = [_job(one, out, form, comparison) for one in [*found.values(), *pairs]]
    _refuse_losses(jobs)
    return Jobs(tuple(jobs), ignored)


def _job(found: _Found, out: Path, form: Format | None, comparison: bool) -> Job:
    file = found.files[0]
    written = form or default_format(file.suffix)
    folder = out / found.below
    return Job(
        files=found.files,
        target=folder / f"{file.stem}{SUFFIXES[written]}",
        form=written,
        comparison=folder / f"{file.stem}{_COMPARED}" if comparison else None,
        named=found.named,
    )


def _expanded(given: Path, out: Path) -> tuple[list[_Found], int]:
    """What a file, a folder or a glob stands for; how many other files a folder has."""
    if _is_folder(given):
        return _in_folder(given, out)
    if os.path.lexists(given) or not _WILD & set(str(given)):
        return [_Found(files=(given,), below=Path(), named=True)], 0
    out = _identity(out)
    matches = [Path(name) for name in sorted(glob.glob(str(given), recursive=True))]
    files = [path for path in matches if path.is_file() and not _identity(path).is_relative_to(out)]
    if not files:
        raise InputError(f"{given}: no file has such a name; correct the pattern")
    return [_Found(files=(path,), below=Path(), named=False) for path in files], 0


def _is_folder(path: Path) -> bool:
    """Whether it is one; of names that cannot be, and of what nobody may look at, those who read them complain."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _in_folder(folder: Path, out: Path) -> tuple[list[_Found], int]:
    where, results = _identity(folder), _identity(out)
    if where == results:
        raise InputError(f"{out}: holds the photographs themselves; choose another folder for the restored ones")
    found, ignored = [], 0
    for path in _files_below(folder):
        if path.suffix.lower() not in _TRIED:
            ignored += 1
        elif not (results.is_relative_to(where) and _identity(path).is_relative_to(results)):
            found.append(_Found(files=(path,), below=path.parent.relative_to(folder), named=False))
    if not found:
        raise InputError(f"{folder}: has no photographs; give a folder with {', '.join(PHOTO_SUFFIXES)} files")
    return found, ignored


def _files_below(folder: Path) -> Iterator[Path]:
    """Files in and below a folder, sorted, but for hidden ones; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({(error.strerror or '').lower()}); check permissions")

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(here, name)


def _refuse_losses(jobs: Sequence[Job]) -> None:
    """InputError where writing the results would cost the user a file."""
    given = {_identity(file) for job in jobs for file in job.files}
    targets: dict[Path, Job] = {}
    for job in jobs:
        for output in job.outputs:
            if (place := _identity(output)) in given:
                raise InputError(f"{output}: is a photograph to deblur and would be replaced; choose another place")
            if place in targets:
                other = targets[place].files[0]
                raise InputError(f"{job.files[0]}: its result would replace that of {other}; rename one of them")
            targets[place] = job


def _identity(path: Path) -> Path:
    """The same for all names of a place; of links in a circle, their name."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
