"""A log is never silent for long."""

import io
import sys
import time
from typing import Any, cast

import pytest
from rich.console import Console

from pipelines.terminal import lines
from tests.slow_stream import SlowStream


def _wait_until_said(text: str) -> None:
    """On standard error, as long as it is captured."""
    deadline = time.monotonic() + 30
    while text not in cast(io.StringIO, sys.stderr).getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
        _wait_until_said("preparing photographs: 2 of 3, ")
    assert capsys.readouterr().out == "", "results alone are there"


def test_what_is_scored_is_said_beside_the_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "QUIET_SECONDS", 0.5)
    with lines.announced("scoring photographs", aside=True) as watch:
        for item in watch("jnb", cast(Any, ["one", "two"])):
            assert item in ("one", "two")
            _wait_until_said(f"scoring photographs: jnb, {int(item == 'two')} of 2, ")
    assert capsys.readouterr().out == ""


def test_a_line_that_is_being_written_at_the_end_comes_before_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "QUIET_SECONDS", 0.0)
    stream = SlowStream()
    with lines.Lines(lambda: "it goes on", Console(file=stream)):
        assert stream.begun.wait(30)
    said = stream.getvalue()
    assert said.endswith("it goes on\n")
    time.sleep(0.5)
    assert stream.getvalue() == said
