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
