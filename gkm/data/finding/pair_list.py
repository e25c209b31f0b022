"""A CSV file that lists pairs in, its checked rows out."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from gkm.data.finding.partners import stem_of
from gkm.data.photos import SPLITS, Split
from gkm.errors import InputError

_COLUMNS = ("split", "scene", "blurred", "sharp", "label")
_SPLITS: dict[str, Split] = {**{split: split for split in SPLITS}, "val": "validation"}


@dataclass(frozen=True)
class Row:
    """One pair of the list; without a split it is shared out."""

    split: Split | None
    scene: str
    scene_is_named: bool
    name: str
    blurred: Path
    sharp: Path
    label: str | None


def read(file: Path) -> list[Row]:
    """The rows of a CSV file with the columns blurred and sharp and, if wanted, split, scene and label.

    Files are relative to the list. InputError names the line, the reason and the remedy.
    """
    try:
        reader = csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True)
        lines = [(reader.line_num, line) for line in reader]  # empty lines are passed over
        columns = set(reader.fieldnames or ())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({(error.strerror or str(error)).lower()}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: is no CSV file of UTF-8 text ({error}); save it as such") from None
    if missing := [name for name in ("blurred", "sharp") if name not in columns]:
        raise InputError(
            f"{file}: has no column {' and no column '.join(missing)}; let its first line read "
            "split,scene,blurred,sharp and every other one describe a pair"
        )
    if strange := columns - {"split", "scene", "blurred", "sharp", "label"}:
        raise InputError(
            f"{file}: the column {strange.pop()} is not known; known are split, scene, blurred, sharp, label"
        )
    if not lines:
        raise InputError(f"{file}: lists no pairs; let every line after the first describe one")
    return [_row(file, number, line) for number, line in lines]


def _row(file: Path, number: int, line: dict[str | None, str | None]) -> Row:
    if None in line:
        raise InputError(f"{file}, line {number}: has more fields than the first line; put names with commas in quotes")
    values = {key: (value or "").strip() for key, value in line.items() if key}
    for side in ("blurred", "sharp"):
        if not values[side]:
            raise InputError(f"{file}, line {number}: names no {side} photograph; give one or remove the line")
    split = values.get("split") or None
    if split is not None and split not in _SPLITS:
        raise InputError(f"{file}, line {number}: split = {split!r} is not known; use {', '.join(SPLITS)}")
    name = stem_of(values["blurred"])
    return Row(
        split=_SPLITS[split] if split else None,
        scene=values.get("scene") or name,
        scene_is_named=bool(values.get("scene")),
        name=name,
        blurred=file.parent / values["blurred"],
        sharp=file.parent / values["sharp"],
        label=values.get("label") or None,
    )
