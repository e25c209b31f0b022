"""What is seen of a trial under way: plain lines where there is no terminal, even while nothing happens."""

import io
import re
import time

import pytest
from rich.console import Console

from gkm.study.single import display as display_module
from gkm.study.single.display import TrainingDisplay
from tests.slow_stream import SlowStream

METRICS = {"epoch": 5.0, "train/loss": 0.0123456, "val/psnr": 27.314, "seconds": 50.0}


def _console(terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, highlight=False, width=100), stream


def _wait_for(pattern: str, stream: io.StringIO) -> None:
    deadline = time.monotonic() + 30
    while not re.search(pattern, stream.getvalue()):
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)


def test_a_line_comes_every_so_often_also_while_nothing_happens() -> None:
    console, stream = _console(terminal=False)
    with TrainingDisplay(20, console, line_seconds=0.05) as display:
        _wait_for(r"getting ready: \d+ s so far\n", stream)
        display.stage("starting 2 workers")
        _wait_for("starting 2 workers\n", stream)
        _wait_for(r"starting 2 workers: \d+ s so far\n", stream)
        display.epoch(METRICS)
        _wait_for(r"epoch 5 of 20: loss 0\.01235, validation 27\.31 dB, about 2 min left", stream)
        _wait_for(r"\(next epoch under way for ", stream)
    said = stream.getvalue()
    time.sleep(0.2)
    assert stream.getvalue() == said, "it ends with the block"


def test_a_line_that_is_being_written_at_the_end_comes_before_what_follows() -> None:
    stream = SlowStream()
    with TrainingDisplay(20, Console(file=stream), line_seconds=0.05):
        assert stream.begun.wait(30)
    said = stream.getvalue()
    assert said.startswith("getting ready: ")
    time.sleep(0.5)
    assert stream.getvalue() == said


def test_every_epoch_has_a_line_and_quick_ones_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = {"system/crops_per_second": 123.4, "system/data_wait_percent": 6.7}
    for seconds, lines in ((0.0, list(range(1, 21))), (60.0, [1, 20])):
        monkeypatch.setattr(display_module, "EPOCH_SECONDS", seconds)
        console, stream = _console(terminal=False)
        with TrainingDisplay(20, console) as display:
            for epoch in range(1, 21):
                display.epoch({**METRICS, **pace, "epoch": float(epoch)})
        said = stream.getvalue().splitlines()
        assert [int(line.split()[1]) for line in said] == lines
        figures = "loss 0.01235, validation 27.31 dB, 123 crops/s, 7 % of the time waiting for data"
        assert said[0] == f"epoch 1 of 20: {figures}, about 16 min left"


def test_a_terminal_gets_a_bar_that_vanishes() -> None:
    console, stream = _console(terminal=True)
    with TrainingDisplay(20, console) as display:
        display.stage("starting 2 workers")
        display.epoch(METRICS)
        display._bar.refresh()
    assert "training: loss 0.01235, validation 27.31 dB" in stream.getvalue()
    assert "5/20" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_note_is_said_at_once(terminal: bool) -> None:
    console, stream = _console(terminal)
    with TrainingDisplay(20, console) as display:
        display.note("checkpoint of epoch 4 is damaged")
        assert "checkpoint of epoch 4 is damaged\n" in stream.getvalue()
