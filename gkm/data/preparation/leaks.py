"""Pairs and their likenesses in, a refusal out where two splits share photographs and that kind was not allowed.

What counts is what photographs show: two splits may use one file name for different scenes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gkm.data.dataset.manifest import LEAKS, Leak
from gkm.data.photos import Split
from gkm.data.preparation.duplicates import Duplicate
from gkm.data.preparation.sources import Item
from gkm.errors import InputError

_WHY = "so scores would be of photographs seen in training"


def parse_leaks(text: str) -> tuple[Leak, ...]:
    """The kinds of leaks in a list such as "exact,near", or "all" of them; InputError for another word."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["all"]:
        return LEAKS
    if strange := [word for word in words if word not in LEAKS]:
        raise InputError(
            f"--allow-duplicates {text}: {strange[0]} is not known; give {', '.join(LEAKS)}, several with commas "
            "between them, or no word for all"
        )
    return tuple(leak for leak in LEAKS if leak in words)


def refuse_named_scenes(origin: str, items: Iterable[Item], allowed: Collection[Leak]) -> None:
    """InputError if a scene that the source itself names is in two splits; file names are no scenes' names."""
    if "scene" in allowed:
        return
    seen: dict[str, Split] = {}
    for item in items:
        if item.scene_is_named and seen.setdefault(item.scene, item.split) != item.split:
            raise InputError(
                f"{origin}: scene {item.scene}: is in the splits {seen[item.scene]} and {item.split}, {_WHY}; keep "
                "every scene in one split, or pass --allow-duplicates scene"
            )


def refuse_shared(origin: str, duplicates: Sequence[Duplicate], allowed: Collection[Leak]) -> None:
    """InputError if two splits have photographs in common, equal ones or nearly the same."""
    leaks = [duplicate for duplicate in duplicates if duplicate.leaks and duplicate.kind not in allowed]
    if leaks:
        more = f", and {len(leaks) - 1} more" if len(leaks) > 1 else ""
        kinds = {*allowed, *(leak.kind for leak in leaks)}
        waived = ",".join(kind for kind in LEAKS if kind in kinds)
        raise InputError(
            f"{origin}: {leaks[0]}{more}, {_WHY}; keep them in one split, or pass --allow-duplicates {waived}"
        )
