"""A log is never silent for long."""

import time
from typing import Any, cast

import pytest

from pipelines.terminal import lines


def test_what_is_counted_is_said_where_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with lines.counted("preparing photographs", 3) as advance:
        advance(1)
    assert capsys.readouterr() == ("", ""), "nothing is said of what is quick"
    monkeypatch.setattr(lines, "QUIET_SECONDS", 0.5)
    with lines.counted("preparing photographs", 3) as advance:
        advance(1)
        advance(1)
        time.sleep(1.3)
    said = capsys.readouterr()
    assert said.out == "", "results alone are there"
    assert "preparing photographs: 2 of 3, " in said.err


def test_what_is_scored_is_said_beside_the_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "QUIET_SECONDS", 0.5)
    with lines.announced("scoring photographs", aside=True) as watch:
        for item in watch("jnb", cast(Any, ["one", "two"])):
            assert item in ("one", "two")
            time.sleep(1.3)
    said = capsys.readouterr()
    assert said.out == ""
    assert "scoring photographs: jnb, 1 of 2, " in said.err
