"""Fixtures for all tests."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real defocus pairs, the parity fixture and LPIPS reference images, kept beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared reference data is not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of small textured pictures, blurred: 4 to train, 2 to validate, 2 to test; 72 x 96 pixels."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from gkm.data.pair import Pair
    from gkm.data.preparation import write_dataset

    generator = np.random.default_rng(7)
    pairs = []
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        for index in range(count):
            coarse = generator.uniform(0, 255, (18, 24, 3))
            sharp = np.kron(coarse, np.ones((4, 4, 1)))
            blurred = gaussian_filter(sharp, (1.5, 1.5, 0))
            photos = [image.round().astype(np.uint8) for image in (blurred, sharp)]
            pairs.append((split, Pair(f"{split}-{index}", "0", *photos)))
    out = tmp_path_factory.mktemp("tiny") / "data"
    write_dataset(pairs, out, {"kind": "synthetic"})
    return out
