"""A prepared data set small enough for tests: textured pictures, blurred."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset


def write_tiny_data(out: Path, views: bool = False) -> Path:
    """Write 4 pairs to train, 2 to validate and 2 to test, of 72 x 96 pixels, to `out`.

    With `views`, the left one is the blurred photograph moved by a pixel to the left, the right one to the right.
    """
    generator = np.random.default_rng(7)
    pairs = []
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for index in range(count):
            coarse = generator.uniform(0, 255, (18, 24, 3))
            sharp = np.kron(coarse, np.ones((4, 4, 1)))
            blurred = gaussian_filter(sharp, (1.5, 1.5, 0))
            photos = [image.round().astype(np.uint8) for image in (blurred, sharp)]
            sides = {"left_HW3": np.roll(photos[0], -1, 1), "right_HW3": np.roll(photos[0], 1, 1)} if views else {}
            pairs.append((split, Pair(f"{split}-{index}", "0", *photos, **sides)))
    write_dataset(pairs, out, {"kind": "synthetic"})
    return out
