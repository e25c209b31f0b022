"""Names of scenes in, the split of each out; the same for the same scenes, in whatever order they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Self

from gkm.data.photos import SPLITS, Split
from gkm.errors import InputError

SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What folders of splits are called."""


class Shares(NamedTuple):
    """Parts of train, validation and test; DPD's by default (350 / 74 / 76 of 500)."""

    train: int = 70
    validation: int = 15
    test: int = 15

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "70/15/15", or a split's name for all of them in one; InputError if it is neither."""
        if text in SPLITS:
            return cls(*(int(split == text) for split in SPLITS))
        try:
            train, validation, test = (int(part) for part in text.split("/"))
        except ValueError:
            train = validation = test = -1
        if min(train, validation, test) < 0 or train + validation + test == 0:
            raise InputError(f"--split {text}: is no way to share out; give parts such as 70/15/15, or {SPLITS[2]}")
        return cls(train, validation, test)

    def __str__(self) -> str:
        return "/".join(map(str, self))


def share_out(scenes: Iterable[str], shares: Shares | None = None) -> dict[str, Split]:
    """A split for each scene, by the order of the hashes of their names; each share gets one if there are enough."""
    shares = shares or Shares()
    ordered = sorted(set(scenes), key=lambda scene: (hashlib.sha256(scene.encode()).hexdigest(), scene))
    counts = [round(len(ordered) * share / sum(shares)) for share in shares]
    for place, share in enumerate(shares):
        if share and not counts[place] and len(ordered) >= sum(1 for part in shares if part):
            counts[place] = 1
    largest = shares.index(max(shares))
    counts[largest] = len(ordered) - sum(counts) + counts[largest]
    splits = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    return dict(zip(ordered, splits, strict=True))
