"""A photograph's size and random numbers in; where a crop lies in it, and how it is turned, out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gkm.data.dataset.encoding import Planes


@dataclass(frozen=True)
class Crops:
    """Random crops, one per array element: what `draw` drew, the same however the crops are shared out."""

    photo: npt.NDArray[np.int64]
    """Index of the photograph."""
    row: npt.NDArray[np.float64]
    column: npt.NDArray[np.float64]
    """Place of the crop, as a fraction in [0, 1) of the places that the photograph has."""
    flip: npt.NDArray[np.bool_]
    quarter_turns: npt.NDArray[np.int64]
    noise_seed: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo)


def draw(photos: int, crops_per_photo: int, total: int, flips: bool, generator: np.random.Generator) -> Crops:
    """`total` crops in random order: `crops_per_photo` of each of `photos` photographs, then of photographs at random.

    The paper takes a random crop; `flips` adds mirror images and quarter turns.
    """
    everyone = generator.permutation(np.repeat(np.arange(photos), crops_per_photo))
    more = generator.integers(photos, size=max(0, total - len(everyone)))
    flip = generator.random(total) < 0.5
    turns = generator.integers(4, size=total)
    return Crops(
        photo=np.concatenate([everyone, more])[:total],
        row=generator.random(total),
        column=generator.random(total),
        flip=flip if flips else np.zeros_like(flip),
        quarter_turns=turns if flips else np.zeros_like(turns),
        noise_seed=generator.integers(2**63 - 1, size=total),
    )


def corner(crops: Crops, index: int, height: int, width: int, crop_pixels: int) -> tuple[int, int]:
    """Top row and left column of crop `index` in a photograph of that size."""
    return (
        int(crops.row[index] * (height - crop_pixels + 1)),
        int(crops.column[index] * (width - crop_pixels + 1)),
    )


def turned(crop_3HW: Planes, crops: Crops, index: int) -> Planes:
    """A crop, 3 x crop_pixels x crop_pixels, mirrored and turned as drawn: a view, nothing is copied."""
    if crops.flip[index]:
        crop_3HW = crop_3HW[:, :, ::-1]
    return np.rot90(crop_3HW, crops.quarter_turns[index], axes=(1, 2))
