"""Fixtures for all tests."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gkm.tracking import tables

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ELSEWHERE = "file:///elsewhere"


@pytest.fixture(scope="session", autouse=True)
def quick_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In this process MLflow makes its tables once, in seconds; every further new store begins as a copy of them."""
    make, first = tables.make, tmp_path_factory.mktemp("tables") / "first.db"

    def copied(path: Path, artifacts: str) -> None:
        if not first.exists():
            make(first, ELSEWHERE)
        shutil.copyfile(first, path)
        with closing(sqlite3.connect(path)) as database, database:
            where = "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)"
            database.execute(where, (ELSEWHERE, artifacts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "make", copied)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real defocus pairs, the parity fixture and LPIPS reference images, kept beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared reference data is not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of small textured pictures, blurred: 4 to train, 2 to validate, 2 to test; 72 x 96 pixels."""
    from tests.tiny_data import write_tiny_data

    return write_tiny_data(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture(scope="session")
def tiny_views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two dual-pixel views of each blurred photograph."""
    from tests.tiny_data import write_tiny_data

    return write_tiny_data(tmp_path_factory.mktemp("views") / "data", views=True)
