"""A place in; the data set there, opened once, out: what its manifest says, read and checked, to be passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gkm.config import Input
from gkm.data.dataset.manifest import Manifest, PairEntry, read_manifest
from gkm.data.photos import Split
from gkm.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """A data set that is there. Other processes open it themselves, from its `place`."""

    place: str
    """A folder, here or in S3, as the user wrote it."""
    manifest: Manifest

    @property
    def fingerprint(self) -> str:
        """See `Manifest.fingerprint`."""
        return self.manifest.fingerprint

    @property
    def name(self) -> str:
        """How to speak of it: what it was made from, such as "sample"; "data" where that is not known."""
        return str(self.manifest.source.get("kind", "")) or "data"

    def entries(self, split: Split) -> tuple[PairEntry, ...]:
        """All pairs of a split; InputError if it has none."""
        self.manifest.require(split, self.place)
        return self.manifest.splits[split].entries

    def require(self, *splits: Split, inputs: Sequence[Input] = ("blurred",)) -> None:
        """InputError if one of them has no photographs, or lacks what a network sees."""
        for split in splits:
            self.manifest.require(split, self.place, inputs)

    def refuse_crops(self, crop_pixels: int) -> None:
        """InputError if its smallest photograph to train on is smaller than crops of that many pixels a side."""
        smallest = min(min(pair.height, pair.width) for pair in self.entries("train"))
        if crop_pixels > smallest:
            raise InputError(
                f"{self.place}: its smallest photograph to train on has {smallest} pixels a side, fewer than "
                f"data.crop_pixels = {crop_pixels}; set data.crop_pixels to {smallest} or less"
            )


def open_dataset(place: str | Path | Dataset) -> Dataset:
    """The data set at `place`, or the one that was opened already.

    Raises InputError if there is none, or if its manifest is damaged or edited.
    """
    return place if isinstance(place, Dataset) else Dataset(str(place), read_manifest(place))
