"""A photograph and its restoration in, both side by side out."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gkm.data.photos import as_8bit
from gkm.restoration.photograph import Photograph

_MOST_PIXELS = 24_000_000
"""Of each side; larger ones are halved, or more."""
_GAP_PIXELS = 8
_WHITE = 255


def side_by_side(before: Photograph, after: Photograph) -> Photograph:
    """Before on the left, after on the right, with a white gap; 8 bits, the profile kept."""
    width, height = before.size
    factor = 1
    while (width // factor) * (height // factor) > _MOST_PIXELS:
        factor += 1
    sides = [np.asarray(Image.fromarray(as_8bit(photograph.rgb_HW3)).reduce(factor)) for photograph in (before, after)]
    gap = np.full((sides[0].shape[0], _GAP_PIXELS, 3), _WHITE, np.uint8)
    return Photograph(rgb_HW3=np.hstack([sides[0], gap, sides[1]]), icc=before.icc)
