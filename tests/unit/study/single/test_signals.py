"""Ctrl-C and SIGTERM: a wish while somebody asks, an end at once before, after, and the second time."""

import logging
import os
import signal

import pytest

from gkm.study.single.signals import StopSignals

ENDS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]


def _send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_a_signal_before_anybody_asks_ends_at_once(number: int, end: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with pytest.raises(end), StopSignals():
        _send(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_the_first_signal_is_a_wish_and_the_second_an_end(
    number: int, end: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gkm")
    with StopSignals() as signals:
        assert not signals()
        _send(number)
        assert signals()
        assert "leaving after this step, with a checkpoint (again ends at once)" in caplog.text
        with pytest.raises(end):
            signals.end()
        with pytest.raises(end):
            _send(number)


def test_once_training_is_done_a_signal_ends_at_once_and_one_that_came_is_remembered() -> None:
    with StopSignals() as signals:
        signals()
        signals.done()
        signals.end()
        with pytest.raises(SystemExit) as ended:
            _send(signal.SIGTERM)
        assert ended.value.code == 143
