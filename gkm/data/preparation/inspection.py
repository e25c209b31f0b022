"""A pair in, what is worth knowing of it out: how its photographs fit, their prints, histograms, a small picture."""

from __future__ import annotations

import base64
import io
from typing import Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from gkm.data.dataset.pair import Pair
from gkm.data.photos import as_8bit
from gkm.data.preparation.alignment import Fit, Shrunk, fit, shrunk
from gkm.data.preparation.duplicates import Print

HISTOGRAM_BINS = 32
PICTURE_PIXELS = 192
"""Width of each of the two photographs in the small picture."""


class Facts(BaseModel):
    """Of one pair; goes into the data card, and into no fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Fit
    psnr: float | None
    """Of the blurred photograph against the sharp one, in dB; None if they are equal."""
    blurred_print: Print
    sharp_print: Print
    blurred_histogram: tuple[float, ...]
    sharp_histogram: tuple[float, ...]
    """Shares of the shrunk photographs in equal steps of luminance."""
    picture: str
    """Blurred and sharp side by side: JPEG, base64."""

    @classmethod
    def of(cls, pair: Pair) -> Self:
        """Looks at a pair."""
        blurred, sharp = shrunk(pair.blurred_HW3), shrunk(pair.sharp_HW3)
        return cls(
            fit=fit(blurred, sharp),
            psnr=_psnr(pair),
            blurred_print=Print.of(blurred),
            sharp_print=Print.of(sharp),
            blurred_histogram=_histogram(blurred),
            sharp_histogram=_histogram(sharp),
            picture=_picture(pair),
        )

    def doubts(self) -> tuple[str, ...]:
        """What speaks against the pair, in words."""
        return self.fit.doubts() if self.psnr is not None else ("both photographs are the same",)


def _psnr(pair: Pair) -> float | None:
    error = 0.0
    for blurred_W3, sharp_W3 in zip(pair.blurred_HW3, pair.sharp_HW3, strict=True):  # row by row: little memory
        error += float(np.square(blurred_W3.astype(np.float32) - sharp_W3).sum(dtype=np.float64))
    error /= pair.blurred_HW3.size
    white = np.iinfo(pair.blurred_HW3.dtype).max
    return round(10 * float(np.log10(white**2 / error)), 3) if error else None


def _histogram(photo: Shrunk) -> tuple[float, ...]:
    counts, _ = np.histogram(photo.grey_HW, bins=HISTOGRAM_BINS, range=(0, 1))
    return tuple(round(float(count) / photo.grey_HW.size, 5) for count in counts)


def _picture(pair: Pair) -> str:
    height, width = pair.blurred_HW3.shape[:2]
    size = (PICTURE_PIXELS, max(1, round(height * PICTURE_PIXELS / width)))
    canvas = Image.new("RGB", (2 * size[0] + 2, size[1]))
    for place, photo_HW3 in enumerate((pair.blurred_HW3, pair.sharp_HW3)):
        canvas.paste(Image.fromarray(as_8bit(photo_HW3)).resize(size, Image.Resampling.BOX), (place * (size[0] + 2), 0))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=75)
    return base64.b64encode(buffer.getvalue()).decode()
