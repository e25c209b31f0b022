"""Photographs in, short prints of them out; and from the prints, which photographs are the same.

A print survives scaling, compression and changes of brightness. Mirrored, turned and cropped copies are not found.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict

from gkm.data.photos import Split
from gkm.data.preparation.alignment import Shrunk

_HASH_SIDE = 16
_PICTURE_SIDE = 32
MOST_DIFFERENT_BITS = 16
"""Of 256; strangers differ in about 128."""
LEAST_CORRELATION = 0.98
_CHUNK = 1024


class Print(BaseModel):
    """Of one photograph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: str
    """Difference hash: for each of 16 x 16 places whether it gets brighter to the right, in hexadecimal."""
    picture: str
    """32 x 32 grey values, base64."""

    @classmethod
    def of(cls, photo: Shrunk) -> Self:
        """The print of a photograph."""
        image = Image.fromarray(photo.grey_HW)
        hashed = np.asarray(image.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX))
        picture = np.asarray(image.resize((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.BOX))
        return cls(
            bits=np.packbits(hashed[:, 1:] > hashed[:, :-1]).tobytes().hex(),
            picture=base64.b64encode(np.rint(picture * 255).astype(np.uint8).tobytes()).decode(),
        )


class Photograph(NamedTuple):
    """One of a data set, as the search for duplicates sees it."""

    split: Split
    scene: str
    name: str
    sha256: str
    print: Print

    def __str__(self) -> str:
        return f"{self.split} {self.name}" if self.name == self.scene else f"{self.split} {self.scene}/{self.name}"


class Duplicate(NamedTuple):
    """Two photographs of different scenes that are the same, or nearly."""

    one: Photograph
    other: Photograph

    @property
    def exact(self) -> bool:
        """Whether every pixel is equal."""
        return self.one.sha256 == self.other.sha256

    @property
    def kind(self) -> Literal["exact", "near"]:
        """How alike they are."""
        return "exact" if self.exact else "near"

    @property
    def leaks(self) -> bool:
        """Whether they are in two splits."""
        return self.one.split != self.other.split

    def __str__(self) -> str:
        return f"{self.one} and {self.other} are {'the same' if self.exact else 'nearly the same'}"


def find_duplicates(photographs: Iterable[Photograph]) -> list[Duplicate]:
    """Photographs that two scenes, or two splits, have in common; those in two splits first, then equal ones.

    Photographs of one scene in one split may be alike, and the shots of a scene may share their sharp photograph.
    """
    photographs = list(photographs)
    if not photographs:
        return []
    signs, pictures = _signs(photographs), _pictures(photographs)
    hashes = np.array([photograph.sha256 for photograph in photographs])
    found = []
    for start in range(0, len(photographs), _CHUNK):
        part = slice(start, start + _CHUNK)
        different_bits = (signs.shape[1] - signs[part] @ signs.T) / 2
        alike = (different_bits <= MOST_DIFFERENT_BITS) & (pictures[part] @ pictures.T >= LEAST_CORRELATION)
        alike |= hashes[part, None] == hashes  # plain surfaces correlate with nothing
        for row, column in zip(*np.nonzero(alike), strict=True):
            one, other = photographs[start + row], photographs[column]
            if start + row < column and (one.split, one.scene) != (other.split, other.scene):
                found.append(Duplicate(one, other))
    return sorted(_once_per_pair(found), key=lambda duplicate: (not duplicate.leaks, not duplicate.exact))


def _once_per_pair(duplicates: Iterable[Duplicate]) -> list[Duplicate]:
    """Of the up to four likenesses between two pairs, the strongest."""
    best: dict[tuple[object, ...], Duplicate] = {}
    for duplicate in duplicates:
        key = (*duplicate.one[:3], *duplicate.other[:3])
        if key not in best or (duplicate.exact and not best[key].exact):
            best[key] = duplicate
    return list(best.values())


def _signs(photographs: Sequence[Photograph]) -> npt.NDArray[np.float32]:
    packed = np.frombuffer(b"".join(bytes.fromhex(photo.print.bits) for photo in photographs), np.uint8)
    bits = np.unpackbits(packed.reshape(len(photographs), -1), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _pictures(photographs: Sequence[Photograph]) -> npt.NDArray[np.float32]:
    """One row each, without its mean, of length 1."""
    packed = np.frombuffer(b"".join(base64.b64decode(photo.print.picture) for photo in photographs), np.uint8)
    rows = packed.reshape(len(photographs), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1))
