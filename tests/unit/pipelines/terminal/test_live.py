"""What a user sees of a study: a table on a terminal, plain lines elsewhere."""

import io
import re
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.standing import Standing
from gkm.study.design.grid import Arms
from gkm.study.design.space import Choice, Float, SearchSpace
from gkm.study.record.results import StudyResults, TrialRow
from pipelines.terminal import lines as plain_lines
from pipelines.terminal.lines import announced
from pipelines.terminal.live import Log, Terminal, watching

BASE = TrialConfig(training=TrainingConfig(epochs=27))
SPACE = SearchSpace(
    {"optim.learning_rate": Float(1e-4, 1e-2, log=True), "model.gcm": Choice("fixed", "learned_random")},
    base=BASE,
    trials=8,
    confirm=0,
)
BEGUN = StudyResults("quick", (), "running", budget=SPACE.limits, blurred=(28.0, 30.0))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def row(number: int, epochs: int = 0, status: Any = "running", best: float = 30.0, **more: Any) -> TrialRow:
    history = tuple(
        {"epoch": epoch, "val/psnr": best - (epochs - epoch), "seconds": 2.0 * epoch} for epoch in range(1, epochs + 1)
    )
    values = {"optim.learning_rate": 0.00123456, "model.gcm": "fixed"}
    return TrialRow(number, status, BASE, values, history, **{"group": number, **more})


def terminal(clock: Clock, height: int = 40, standing: Standing | None = None) -> tuple[Terminal, Console]:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=height, color_system=None)
    return Terminal("quick", standing or Standing(SPACE, clock=clock), console, clock=clock), console


def drawn(shown: Terminal) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(shown.table())
    return console.export_text()


def log(clock: Clock) -> tuple[Log, io.StringIO]:
    text = io.StringIO()
    return Log("quick", Standing(SPACE, clock=clock), Console(file=text, width=80), clock=clock), text


def lines(text: io.StringIO) -> list[str]:
    """Without the time in front."""
    found = text.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in found)
    return [line[20:] for line in found]


def test_the_table_shows_trials_with_their_settings_value_gain_and_time_left() -> None:
    clock = Clock()
    shown, _ = terminal(clock)
    assert "scoring the blurred photographs" in drawn(shown)
    shown.began(BEGUN, 27)
    shown.trial(row(0, 27, "finished", 31.25))
    shown.trial(row(1, 3, "stopped", 29.5, reason="behind"))
    shown.trial(row(2, 7, best=30.5))
    text = drawn(shown)
    first, second = text.splitlines()[:2]
    assert first.startswith(
        "study quick: 2 of 8 done, 1 running; best 31.25 dB, +2.25 dB over the blurred input (trial 0)"
    )
    assert re.match(r"spent 0 s, 37 epochs; about \d+ (s|min) left", second)
    assert "learning_rate, gcm" in text
    assert re.search(r"0 +0\.001235 fixed +finished +27/27 .* 31\.25 dB +\+2\.25", text)
    assert re.search(r"1 +0\.001235 fixed +stopped +3/27 .* 29\.50 dB +\+0\.50", text)
    assert re.search(r"2 +0\.001235 fixed +running +7/27 .* 30\.50 dB +\+1\.50 +40 s", text)
    assert "seed" not in text


def test_several_seeds_and_arms_are_told_apart() -> None:
    clock = Clock()
    arms = Arms({"paper": {}, "narrow": {"model.width": 8}}, "paper", base=BASE, seeds=(0, 1))
    shown, _ = terminal(clock, standing=Standing(arms, clock=clock))
    shown.began(replace(BEGUN, budget=arms.limits), 27)
    shown.trial(row(0, 1, arm="paper", seed=0))
    shown.trial(row(1, 1, arm="narrow", seed=1))
    text = drawn(shown)
    assert "0 of 4 done" in text
    assert re.search(r"0 +paper +0 +running", text)
    assert re.search(r"1 +narrow +1 +running", text)


def test_a_long_study_shows_those_running_the_best_and_the_newest() -> None:
    clock = Clock()
    shown, _ = terminal(clock, height=40)
    shown.began(BEGUN, 27)
    for number in range(200):
        clock.now += 1
        shown.trial(row(number, 27, "finished", 30 + number / 100 if number < 100 else 20))
    shown.trial(row(200, 2))
    text = drawn(shown)
    assert len(text.splitlines()) < 24
    numbers = re.findall(r"^ +(\d+) +0\.0", text, re.MULTILINE)
    assert numbers == ["200", "99", "98", "97", "96", "95", "199", "198", "197", "196", "195"]


def test_what_happened_is_printed_above_the_table_and_the_last_table_stays() -> None:
    clock = Clock()
    shown, console = terminal(clock)
    with shown:
        shown.began(BEGUN, 27)
        with shown.announced("starting Ray"):
            clock.now += 5
            assert "starting Ray, 5 s so far" in drawn(shown)
        shown.trial(row(0, 27, "finished", 31.25))
        shown.said("trial 0: finished")
        shown.trial(row(1, 0, "failed", reason="diverged"))
        shown.said("trial 1: failed: diverged")
        shown.trial(row(2, 7))
        shown.said("trial 2: damaged checkpoint passed over")
        shown.ended(replace(BEGUN, trials=(row(2, 7, "interrupted"),)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("trial 1 failed: diverged") == 1
    assert "trial 2: damaged checkpoint passed over" in text
    assert "trial 0: finished" not in text, "the table shows it"
    assert "interrupted" in text[text.rindex("study quick") :]


def test_a_log_has_a_line_for_everything_that_happens() -> None:
    clock = Clock()
    shown, text = log(clock)
    shown.began(BEGUN, 27)
    with shown.announced("starting Ray"):
        pass
    shown.trial(row(0))
    shown.trial(row(0, 1))
    shown.trial(row(0, 27, "finished", 31.25))
    shown.said("trial 0: finished")
    shown.trial(row(1, 3, "stopped", 28.5, reason="behind 3 of 4"))
    shown.said("trial 1: stopped: behind 3 of 4")
    shown.trial(row(2, 0, "failed", reason="diverged"))
    shown.said("Ctrl-C: stopping")
    shown.trial(row(3, phase="confirm", group=0, seed=7))
    assert lines(text) == [
        "study quick: 8 trials of at most 27 epochs; the blurred photographs have 29.00 dB",
        "starting Ray",
        "trial 0 started: learning_rate = 0.001235, gcm = fixed, seed 0",
        "trial 0 finished at epoch 27 of 27; 31.25 dB (+2.25 dB over the blurred input)",
        "trial 1 stopped at epoch 3 of 27; 28.50 dB (-0.50 dB over the blurred input); behind 3 of 4",
        "trial 2 failed; diverged",
        "Ctrl-C: stopping",
        "trial 3 started, confirms trial 0: learning_rate = 0.001235, gcm = fixed, seed 7",
    ]


def test_a_log_is_never_silent_for_longer_than_half_a_minute() -> None:
    clock = Clock()
    shown, text = log(clock)
    clock.now = 31
    shown.tick()
    shown.began(BEGUN, 27)
    shown.trial(row(0, 27, "finished"))
    shown.trial(row(3, 7, best=30.12))
    shown.trial(row(4))
    told = len(lines(text))
    for _ in range(100):
        shown.tick()
    assert len(lines(text)) == told
    clock.now += 30
    shown.tick()
    shown.tick()
    assert lines(text)[0] == "reading the data, scoring the blurred photographs, 31 s so far"
    newest = lines(text)[told:]
    assert len(newest) == 1
    assert re.fullmatch(
        r"running: trial 3 epoch 7/27 30\.12 dB, trial 4 at its first epoch; 1 of 8 done; about \d min left", newest[0]
    )
    with shown.announced("ending"):
        clock.now += 45
        shown.tick()
    assert lines(text)[-1] == "ending, 45 s so far"


def test_a_study_that_goes_on_says_what_is_there() -> None:
    shown, text = log(Clock())
    shown.began(replace(BEGUN, trials=(row(0, 27, "finished"), row(1, 3))), 27)
    shown.trial(row(1, 4))
    assert lines(text)[1:] == ["going on: 1 finished, 1 running"]


def test_set_up_and_report_are_announced_with_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plain_lines, "QUIET_SECONDS", 0.0)
    with announced("building the report") as watch:
        for item in watch("scoring", [1, 2, 3]):  # type: ignore[arg-type]
            deadline = time.monotonic() + 30
            while item == 3 and "2 of 3" not in sys.stdout.getvalue():  # type: ignore[attr-defined, comparison-overlap]
                assert time.monotonic() < deadline
                time.sleep(0.01)
    text, errors = capsys.readouterr()
    assert errors == ""
    said = [line[20:] for line in text.splitlines()]
    assert said[0] == "building the report"
    assert any(re.fullmatch(r"building the report: scoring, 2 of 3, \d+ s so far", line) for line in said)


def test_a_pipe_gets_lines() -> None:
    assert isinstance(watching("quick", Standing(SPACE)), Log)
