"""A folder in, the names of all photographs in and below it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from gkm.data.photos import SUFFIXES
from gkm.errors import InputError

Tree: TypeAlias = Mapping[str, Sequence[str]]
"""Folder below the source, "" for itself -> names of its photographs; folders without photographs are in it, too."""

DEEPEST_FOLDER = 4


def photo_tree(folder: Path) -> dict[str, list[str]]:
    """The photographs of a folder and of those below it, links followed once, hidden files and folders left out."""
    tree: dict[str, list[str]] = {}
    seen: set[tuple[int, int]] = set()

    def visit(here: Path, name: str, depth: int) -> None:
        status = here.stat()
        if (place := (status.st_dev, status.st_ino)) in seen or depth > DEEPEST_FOLDER:
            return
        seen.add(place)
        entries = sorted(path for path in here.iterdir() if not path.name.startswith("."))
        tree[name] = [path.name for path in entries if path.suffix.lower() in SUFFIXES and not path.is_dir()]
        for path in entries:
            if path.is_dir():
                visit(path, f"{name}/{path.name}".lstrip("/"), depth + 1)

    try:
        visit(folder, "", 0)
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: cannot be read ({(error.strerror or str(error)).lower()}); check permissions"
        ) from None
    return tree
