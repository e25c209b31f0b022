"""Pairs of DPD in, the same pairs with the two views of the dual-pixel sensor out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gkm.data.finding.partners import stem_of
from gkm.data.photos import SUFFIXES, PhotoPair
from gkm.errors import InputError


def with_views(pairs: Sequence[PhotoPair]) -> tuple[PhotoPair, ...]:
    """Finds `train_l/source/NAME_L` and `train_r/source/NAME_R` beside `train_c/source/NAME`; InputError if not."""
    folders: dict[Path, dict[str, Path]] = {}
    return tuple(
        replace(pair, left=_view(pair.blurred, "l", folders), right=_view(pair.blurred, "r", folders)) for pair in pairs
    )


def _view(blurred: Path, letter: str, folders: dict[Path, dict[str, Path]]) -> Path:
    combined = blurred.parent.parent
    folder = combined.with_name(f"{combined.name.removesuffix('_c')}_{letter}") / blurred.parent.name
    if folder not in folders:
        names = folder.iterdir() if folder.is_dir() else ()
        folders[folder] = {stem_of(path.name): path for path in names if path.suffix.lower() in SUFFIXES}
    stem = stem_of(blurred.name)
    for name in (f"{stem}_{letter.upper()}", stem):
        if name in folders[folder]:
            return folders[folder][name]
    raise InputError(
        f"{blurred}: has no dual-pixel view {folder / stem}_{letter.upper()}; add it, or leave out --views"
    )
