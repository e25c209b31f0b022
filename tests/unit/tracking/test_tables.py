"""A sqlite store is made whole or not at all, and what somebody has in a database is never replaced."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gkm.errors import InputError
from gkm.tracking import open_tracking
from gkm.tracking.tables import complete

OPEN = """
import pathlib, sys
from gkm.tracking import open_tracking
open_tracking(pathlib.Path(sys.argv[1]), None).client.search_experiments()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "mlflow.db"
    complete(path)
    return path


def _names(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


@pytest.mark.slow
def test_a_start_killed_while_tables_are_made_leaves_a_store_that_opens(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path)], stderr=subprocess.DEVNULL, env=environment)
    try:
        deadline = time.monotonic() + 120
        made = tmp_path / "mlflow.db.new"
        while not (made.exists() and made.stat().st_size > 100_000):  # in the middle of the migrations
            assert process.poll() is None, "ended before it could be disturbed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait(60) != 0
    database = tmp_path / "mlflow.db"
    assert not database.exists() or database.stat().st_size == 0
    subprocess.run([sys.executable, "-c", OPEN, str(tmp_path)], check=True, env=environment, timeout=300)
    assert {"experiments", "scorers", "alembic_version"} <= _names(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_a_store_left_with_a_part_of_its_tables_is_made_anew(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(whole, path)
    _execute(
        path,
        "DELETE FROM experiments",
        "DROP TABLE scorer_versions",
        "UPDATE alembic_version SET version_num = '534353b11cbc'",
    )
    complete(path)
    assert _names(path) == _names(whole)


def test_a_store_with_a_run_or_a_model_is_left_as_it_is(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(whole, path)
    _execute(path, "DELETE FROM experiments", "INSERT INTO registered_models (name) VALUES ('mine')")
    before = path.read_bytes()
    complete(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    _execute(path, "CREATE TABLE theirs (a)")
    before = path.read_bytes()
    complete(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"SQLite format 3\0" + b"nonsense" * 100)
    with pytest.raises(InputError, match=r"mlflow\.db"):
        open_tracking(tmp_path, f"sqlite:///{path}").client.search_experiments()
