"""Promotions by several processes, against a database and through a server: killed at every step, and all at once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gkm.registry import events
from gkm.tracking import Tracking, open_tracking
from tests.mlflow_server import Server

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration.promoting", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def database(tmp_path: Path) -> str:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    open_tracking(tmp_path, uri).prepare()
    return uri


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    served = Server(tmp_path)
    served.start()
    yield served.uri
    served.kill()
    shutil.rmtree(tmp_path / "served", ignore_errors=True)


def one_won(uri: str, found: Any, count: int) -> None:
    """One champion, a whole history, and a reader who always had one."""
    assert found["answers"].count("promoted") == 1, found
    lost = [answer for answer in found["answers"] if answer != "promoted"]
    assert len(lost) == count - 1
    assert all("another version became champion while this one was measured" in answer for answer in lost), lost
    tracking = Tracking(uri)
    happened = events(tracking)
    assert len(happened) == count
    assert [event["event"] for event in happened].count("promoted") == 1
    assert {event["event"] for event in happened} == {"promoted", "overtaken"}
    assert sorted(event["version"] for event in happened) == list(range(2, count + 2))
    assert len({event["evidence"] for event in happened}) == count
    (winner,) = [event["version"] for event in happened if event["event"] == "promoted"]
    aliases = tracking.client.get_registered_model("gkmnet").aliases  # numbers in a database, text from a server
    assert {name: int(version) for name, version in aliases.items()} == {"champion": winner, "previous": 1}
    assert found["reader"].startswith("asked "), found["reader"]
    assert found["reader"].split(": ")[1] in (f"1 {winner}", "1")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_twenty_promotions_at_once_one_wins(database: str, tmp_path: Path) -> None:
    one_won(database, run("at-once", database, tmp_path / "stop", 20), 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_twenty_promotions_at_once_through_a_server_one_wins(server: str, tmp_path: Path) -> None:
    one_won(server, run("at-once", server, tmp_path / "stop", 20), 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_promotion_killed_at_any_step_is_whole_or_not_at_all(database: str, tmp_path: Path) -> None:
    found = run("killed", database, tmp_path / "stop")
    *killed, last = found["steps"]
    assert len(killed) >= 6  # at least: the entry, tags, two aliases, and that they are set
    assert last["answer"].startswith("promoted")
    assert found["reader"].startswith("asked ")
    champion, torn = 1, 0
    for step in found["steps"]:
        version = step["version"]
        decided = step["happened"] == ["promoted", version]
        assert step["before"]["champion"] in (champion, version)
        if decided:
            assert step["after"] == {"champion": version, "previous": champion}
            torn += step["before"] != step["after"]
            champion = version
        else:  # killed before it had decided anything
            assert step["before"] == step["after"]
            assert step["after"]["champion"] == champion
    assert torn >= 2, "no promotion was caught between its entry and its aliases"
    assert champion == version
