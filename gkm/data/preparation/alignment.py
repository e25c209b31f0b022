"""Two photographs in, how well the one fits the other out: shift, brightness, likeness, which is the sharper.

Partners are photographs of one scene from one place. Where they are not, a network learns the error.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.ndimage import gaussian_filter

from gkm.data.photos import Pixels

Grey: TypeAlias = npt.NDArray[np.float32]
"""Height x width, 0 to 1."""

LARGEST_SIDE = 640
"""Photographs are compared after shrinking them to at most this many pixels."""
_WIDTHS = (4, 24)
"""Sigmas of the Gaussians whose difference keeps what survives defocus, and drops shading."""
FARTHEST_SHIFT = 0.004
"""Of the longer side (DPD: seven pixels); partners that lie farther apart are flagged."""
BRIGHTNESS = (0.8, 1.25)
LEAST_LIKENESS = 0.8
"""Of real partners 0.99 and more, of strangers around zero."""
MOST_SHARPNESS = 1.05


class Fit(BaseModel):
    """How a blurred photograph fits its sharp partner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    right_pixels: float
    down_pixels: float
    """How far the blurred photograph's contents lie to the right of, and below, the sharp one's."""
    brightness: float
    """Mean of the blurred photograph over that of the sharp one."""
    likeness: float
    """Correlation of the two after undoing the shift, of what survives defocus; 1 for equal photographs."""
    sharpness: float
    """Fine detail of the blurred photograph over that of the sharp one; below 1 for partners."""
    longer_side: int

    def doubts(self) -> tuple[str, ...]:
        """What speaks against the two being partners, in words."""
        found = []
        if self.likeness < LEAST_LIKENESS:
            found.append(f"they show different things (likeness {self.likeness:.2f})")
        elif max(abs(self.right_pixels), abs(self.down_pixels)) > FARTHEST_SHIFT * self.longer_side:
            found.append(f"shifted by {self.right_pixels:+.0f}, {self.down_pixels:+.0f} pixels")
        if not BRIGHTNESS[0] <= self.brightness <= BRIGHTNESS[1]:
            found.append(f"brightness differs ({self.brightness:.2f} of the sharp one)")
        if self.sharpness > MOST_SHARPNESS and self.likeness >= LEAST_LIKENESS:
            found.append(f"the blurred one is the sharper ({self.sharpness:.2f})")
        return tuple(found)


class Shrunk(NamedTuple):
    """A photograph's luminance, small."""

    grey_HW: Grey  # noqa: N815
    step: int
    """Each value is the mean of step x step pixels."""
    longer_side: int
    """Of the photograph, in pixels."""


def shrunk(photo_HW3: Pixels) -> Shrunk:
    """The luminance of a photograph, of at most `LARGEST_SIDE` values a side; what does not fill one is cut off."""
    longer_side = max(photo_HW3.shape[:2])
    step = -(-longer_side // LARGEST_SIDE)
    height, width = (max(1, length // step) for length in photo_HW3.shape[:2])
    colours_HW3 = np.zeros((height, width, 3), np.float32)
    rows, columns = (min(step, length) for length in photo_HW3.shape[:2])
    for row in range(rows):
        for column in range(columns):
            colours_HW3 += photo_HW3[row : row + step * height : step, column : column + step * width : step]
    grey_HW = 0.299 * colours_HW3[..., 0] + 0.587 * colours_HW3[..., 1] + 0.114 * colours_HW3[..., 2]
    grey_HW /= np.float32(rows * columns) * np.iinfo(photo_HW3.dtype).max
    return Shrunk(np.asarray(grey_HW, dtype=np.float32), step, longer_side)


def fit(blurred: Shrunk, sharp: Shrunk) -> Fit:
    """Compares two photographs of one size."""
    from skimage.registration import phase_cross_correlation

    step = blurred.step
    ours_HW, theirs_HW = _middle_frequencies(blurred.grey_HW), _middle_frequencies(sharp.grey_HW)
    window_HW = np.hanning(ours_HW.shape[0])[:, None] * np.hanning(ours_HW.shape[1])
    up = left = 0.0
    if not _plain(ours_HW) and not _plain(theirs_HW):
        # Whitening the spectrum (the phase alone) would let noise speak where blur has left no signal.
        (up, left), _, _ = phase_cross_correlation(
            theirs_HW * window_HW, ours_HW * window_HW, upsample_factor=10, normalization=None
        )
    return Fit(
        right_pixels=round(float(-left) * step, 2) + 0.0,
        down_pixels=round(float(-up) * step, 2) + 0.0,
        brightness=_ratio(blurred.grey_HW.mean(), sharp.grey_HW.mean()),
        likeness=round(_likeness(ours_HW, theirs_HW, round(float(up)), round(float(left))), 4),
        sharpness=_ratio(_detail(blurred.grey_HW), _detail(sharp.grey_HW)),
        longer_side=blurred.longer_side,
    )


def _middle_frequencies(grey_HW: Grey) -> Grey:
    fine, coarse = (gaussian_filter(grey_HW, width) for width in _WIDTHS)
    return np.asarray(fine - coarse)


def _likeness(ours_HW: Grey, theirs_HW: Grey, up: int, left: int) -> float:
    """Correlation of the parts that both show once `ours_HW` is moved by (up, left)."""
    height, width = ours_HW.shape
    if abs(up) >= height or abs(left) >= width:
        return 0.0
    ours_HW = ours_HW[max(0, -up) : height - max(0, up), max(0, -left) : width - max(0, left)]
    theirs_HW = theirs_HW[max(0, up) : height + min(0, up), max(0, left) : width + min(0, left)]
    if _plain(ours_HW) or _plain(theirs_HW):
        return float(_plain(ours_HW) == _plain(theirs_HW))
    norm = float(np.sqrt(np.square(ours_HW).sum() * np.square(theirs_HW).sum()))
    share = ours_HW.size / (height * width)
    return float((ours_HW * theirs_HW).sum()) / norm if share > 0.5 else 0.0


def _plain(middle_HW: Grey) -> bool:
    return float(np.square(middle_HW).mean()) < 1e-8


def _detail(grey_HW: Grey) -> float:
    return float(np.abs(grey_HW - gaussian_filter(grey_HW, 1)).mean())


def _ratio(ours: float, theirs: float) -> float:
    return round(float((ours + 1e-4) / (theirs + 1e-4)), 4)
