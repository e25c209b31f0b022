"""Pairs and the places where labels may lie in; the pairs with what their photographs show, such as indoor, out.

Labels stand in `labels.csv` (columns name and label), or in `indoor_labels.txt` and `outdoor_labels.txt` with a file
name on each line, as copies of DPD have them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from gkm.data.finding.partners import stem_of
from gkm.data.photos import PhotoPair
from gkm.errors import InputError


def kept(pairs: Sequence[PhotoPair], places: Iterable[Path]) -> tuple[PhotoPair, ...]:
    """`pairs` with the labels found in the folders `places`; those without one stay without."""
    known: dict[str, str] = {}
    for place in dict.fromkeys(places):
        known |= _found(place)
    return tuple(replace(pair, label=known.get(stem_of(pair.blurred.name), pair.label)) for pair in pairs)


def _found(place: Path) -> dict[str, str]:
    known: dict[str, str] = {}
    for label in ("indoor", "outdoor"):
        if (file := place / f"{label}_labels.txt").is_file():
            known |= {stem_of(name.strip()): label for name in _text(file).splitlines() if name.strip()}
    if (file := place / "labels.csv").is_file():
        rows = list(csv.DictReader(_text(file).splitlines(), skipinitialspace=True))
        if rows and not {"name", "label"} <= set(rows[0]):
            raise InputError(f"{file}: lacks the column name or label; let its first line read name,label")
        known |= {stem_of(row["name"].strip()): row["label"].strip() for row in rows if row["name"] and row["label"]}
    return known


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: the labels cannot be read ({error}); save them as UTF-8 text or remove them"
        ) from None
