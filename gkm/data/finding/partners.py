"""The names of blurred photographs and those of sharp ones in, who belongs to whom out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from gkm.errors import InputError

Rule = Literal["name", "number", "order"]

_NUMBERED = re.compile(r"(.*?)(\d+)")
_FARTHEST_NUMBERS = 9
"""Partners taken one after the other are at most this many camera numbers apart (DPD's test set: two)."""


@dataclass(frozen=True)
class Match:
    """A blurred photograph and its sharp partner, by file name; `stem` is what to call the two of them."""

    stem: str
    blurred: str
    sharp: str


def match(
    blurred: Sequence[str], sharp: Sequence[str], blurred_folder: str, sharp_folder: str, *, by_order: bool = False
) -> tuple[list[Match], Rule]:
    """Partners among the file names of two folders, and the rule that they were found by.

    The rule is the name without its suffix; else, where each folder counts with a word of its own (image_01, sharp_01),
    the number; else, if `by_order`, the place in the sorted folder. InputError names a photograph without a partner,
    and names that are not told apart everywhere.
    """
    ours, theirs = by_stem(blurred, blurred_folder), by_stem(sharp, sharp_folder)
    if ours and theirs and not {stem.casefold() for stem in ours} & {stem.casefold() for stem in theirs}:
        (our_word, our_numbers), (their_word, their_numbers) = _numbers(ours), _numbers(theirs)
        if our_numbers and their_numbers and our_word != their_word:
            found = _joined(our_numbers, their_numbers, "number", blurred_folder, sharp_folder)
            return [Match(_stem(one), one, other) for _, one, other in found], "number"
        if by_order:
            return _in_order(list(ours.values()), list(theirs.values()), blurred_folder, sharp_folder), "order"
    found = _joined(ours, theirs, "name", blurred_folder, sharp_folder)
    return [Match(stem, one, other) for stem, one, other in found], "name"


def stem_of(name: str) -> str:
    """File name without folder and suffix, the same whether its accents are one character or two."""
    return _stem(PurePosixPath(name).name)


def by_stem(names: Sequence[str], folder: str) -> dict[str, str]:
    """Stem -> file name of a folder's photographs; InputError if two are not told apart everywhere."""
    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    for name in sorted(names):
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode(errors="surrogateescape").decode(errors="replace")
            raise InputError(f"{folder}/{shown}: its name is not valid UTF-8; rename it") from None
        stem = _stem(name)
        if (other := seen.setdefault(stem.casefold(), name)) != name:
            how = "suffix" if _stem(other) == stem else "upper and lower case"
            raise InputError(f"{folder}/{name}: differs from {other} in {how} alone; rename or remove one of them")
        found[stem] = name
    return found


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", PurePosixPath(name).stem)


def _numbers(named: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The word that all stems begin with, and number -> file name; nothing if they are not a word and a number."""
    parsed = [(_NUMBERED.fullmatch(stem), name) for stem, name in named.items()]
    numbers = {found[2].lstrip("0"): name for found, name in parsed if found}
    words = {found[1] for found, _ in parsed if found}
    return (words.pop(), numbers) if len(numbers) == len(named) and len(words) == 1 else ("", {})


def _joined(
    ours: dict[str, str], theirs: dict[str, str], rule: str, blurred_folder: str, sharp_folder: str
) -> list[tuple[str, str, str]]:
    for key in sorted(ours.keys() ^ theirs.keys()):
        mine, here, others, there = (
            (ours, blurred_folder, theirs, sharp_folder)
            if key in ours
            else (theirs, sharp_folder, ours, blurred_folder)
        )
        alike = [name for other, name in others.items() if other.casefold() == key.casefold()]
        if alike:
            raise InputError(
                f"{here}/{mine[key]}: differs from {there}/{alike[0]} in upper and lower case; give both the same name"
            )
        raise InputError(f"{here}/{mine[key]}: has no partner of the same {rule} in {there}; add it or remove this one")
    return [(key, ours[key], theirs[key]) for key in ours]


def _in_order(ours: list[str], theirs: list[str], blurred_folder: str, sharp_folder: str) -> list[Match]:
    found = [Match(_stem(one), one, other) for one, other in zip(ours, theirs, strict=False)]
    for pair in found:
        numbers = [_NUMBERED.fullmatch(_stem(name)) for name in (pair.blurred, pair.sharp)]
        one, other = numbers
        if one and other and one[1] == other[1] and abs(int(one[2]) - int(other[2])) > _FARTHEST_NUMBERS:
            raise InputError(
                f"{blurred_folder}/{pair.blurred}: its partner in sorted order would be {sharp_folder}/{pair.sharp}, "
                "whose number is far off; add the photograph that is missing at or before them"
            )
    if len(ours) != len(theirs):
        raise InputError(
            f"{blurred_folder}: holds {len(ours)} photographs, but {sharp_folder} {len(theirs)}, so partners cannot be "
            "found by sorted order; add what is missing"
        )
    return found
