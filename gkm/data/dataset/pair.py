"""A blurred photograph and its sharp partner, as arrays that fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gkm.config import Input
from gkm.data.dataset.encoding import Planes
from gkm.data.photos import Pixels
from gkm.errors import InputError


@dataclass(frozen=True)
class Pair:
    """Photographs of one scene, each height x width x 3, all uint8 or all uint16."""

    scene: str
    name: str
    blurred_HW3: Pixels  # noqa: N815
    sharp_HW3: Pixels  # noqa: N815
    label: str | None = None
    """What is seen, such as indoor or outdoor, where the source says it."""
    left_HW3: Pixels | None = None  # noqa: N815
    right_HW3: Pixels | None = None  # noqa: N815
    """The blurred photograph as the two halves of a dual-pixel sensor saw it, where the source has them."""

    def __post_init__(self) -> None:
        for column, photo in self.photographs():
            if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype not in (np.uint8, np.uint16):
                raise InputError(
                    f"{self.scene}/{self.name}: the {column} photograph has the shape {photo.shape} of {photo.dtype}; "
                    "photographs are height x width x 3 with 8 or 16 bits"
                )
        (height, width), dtype = self.blurred_HW3.shape[:2], self.blurred_HW3.dtype
        for column, photo in self.photographs():
            if photo.shape[:2] != (height, width):
                raise InputError(
                    f"{self.scene}/{self.name}: the blurred photograph is {width}x{height} pixels, the {column} one "
                    f"{photo.shape[1]}x{photo.shape[0]}; crop or resize them to one size"
                )
            if photo.dtype != dtype:
                raise InputError(
                    f"{self.scene}/{self.name}: the blurred photograph is {dtype}, the {column} one "
                    f"{photo.dtype}; save both with the same number of bits"
                )

    def photographs(self) -> Iterator[tuple[str, Pixels]]:
        """("blurred", its pixels), ("sharp", ...), and "left" and "right" where they are."""
        yield "blurred", self.blurred_HW3
        yield "sharp", self.sharp_HW3
        if self.left_HW3 is not None:
            yield "left", self.left_HW3
        if self.right_HW3 is not None:
            yield "right", self.right_HW3

    def seen(self, inputs: Sequence[Input]) -> list[Pixels]:
        """The photographs that a network with these `inputs` sees, in their order; InputError if one is missing."""
        photos = dict(self.photographs())
        for column in inputs:
            if column not in photos:
                raise InputError(
                    f"{self.scene}/{self.name}: has no {column} view, which the network sees; prepare its data set "
                    "again with --views"
                )
        return [photos[column] for column in inputs]


Window: TypeAlias = tuple[Planes, ...]
"""Photographs of a pair, or the same window of each, colour by colour: 3 x height x width."""
