"""A photograph's size and random numbers in, the same crop of a blurred photograph and its sharp partner out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gkm.data.photos import Pixels


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


def take(photo_HW3: Pixels, crops: Crops, index: int, crop_pixels: int) -> Pixels:
    """Crop `index` of `photo_HW3`, crop_pixels x crop_pixels x 3: a view, nothing is copied."""
    height, width = photo_HW3.shape[:2]
    top = int(crops.row[index] * (height - crop_pixels + 1))
    left = int(crops.column[index] * (width - crop_pixels + 1))
    crop: Pixels = photo_HW3[top : top + crop_pixels, left : left + crop_pixels]
    if crops.flip[index]:
        crop = crop[:, ::-1]
    return np.rot90(crop, crops.quarter_turns[index])
