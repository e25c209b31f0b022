"""What follows from the end of a study: an exit status and a sentence, or a registered model and a page."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from gkm.config import TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.registry import Registered
from gkm.report import ReportSummary
from gkm.study.design.space import Choice, SearchSpace
from gkm.study.execution.run import Outcome
from gkm.study.record.results import StudyResults, TrialRow
from pipelines.terminal import ending
from pipelines.terminal.ending import Noise, conclude

BASE = TrialConfig(training=TrainingConfig(epochs=2))
SPACE = SearchSpace({"model.num_kernels": Choice(1, 3)}, base=BASE, trials=4, confirm=2)


def row(number: int, status: Any, value: float, **more: Any) -> TrialRow:
    history = ({"epoch": 1.0, "val/psnr": value, "time": 1000.0},)
    return TrialRow(number, status, BASE, {"model.num_kernels": 3}, history, **{"group": number, "run_id": "r", **more})


TRIALS = (
    row(0, "finished", 30.0),
    row(1, "finished", 31.0),
    row(2, "stopped", 29.0),
    row(3, "finished", 30.5, phase="confirm", group=0, seed=1),
    row(4, "finished", 30.25, phase="confirm", group=1, seed=1),
)
RESULTS = StudyResults("s", TRIALS)


@pytest.fixture
def study() -> Any:
    return SimpleNamespace(
        name="s",
        space=SPACE,
        confirm=None,
        data="d",
        cache=None,
        tracking=SimpleNamespace(ui_link=lambda study: "link"),
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was registered and reported."""
    made: list[str] = []
    summary = ReportSummary(Path("report.html"), 2, blurred={"psnr": 26.5}, restored={"psnr": 28.0})
    monkeypatch.setattr(
        "gkm.registry.register_best",
        lambda *_: made.append("registered") or Registered(3, False, "28.00 dB, not better than version 2"),
    )
    monkeypatch.setattr("gkm.registry.find_registered", lambda *_: None)
    monkeypatch.setattr("gkm.report.report_study", lambda *_, **__: made.append("reported") or summary)
    return made


@pytest.mark.parametrize(
    ("outcome", "status", "sentence"),
    [
        (
            Outcome(replace(RESULTS, status="interrupted", reason="Ctrl-C"), signal.SIGINT),
            130,
            "study s: interrupted by Ctrl-C after 5 of 6 trials; the same command goes on",
        ),
        (Outcome(replace(RESULTS, status="interrupted"), signal.SIGTERM), 143, "interrupted by SIGTERM after 5 of 6"),
        (
            Outcome(replace(RESULTS, status="interrupted", reason="stopped by `gkm study stop`")),
            143,
            "study s: stopped by `gkm study stop` after 5 of 6 trials; the same command goes on",
        ),
    ],
)
def test_a_study_that_was_stopped_says_so_and_registers_nothing(
    study: Any, calls: list[str], capsys: pytest.CaptureFixture[str], outcome: Outcome, status: int, sentence: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        conclude(study, outcome, Path("page.html"))
    assert ended.value.exit_code == status
    text, errors = capsys.readouterr()
    assert (text, errors.count("\n")) == ("", 1)
    assert sentence in errors
    assert calls == []


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome(RESULTS, failure="/mnt/runs: is full; make room"), "study s: /mnt/runs: is full; make room"),
        (Outcome(RESULTS, signal.SIGINT, "/mnt/runs: is full"), "study s: /mnt/runs: is full"),
        (
            Outcome(replace(RESULTS, status="failed", reason="no trial was validated")),
            "s: failed after .*: no trial was",
        ),
        (Outcome(replace(RESULTS, status="interrupted", reason="200 settings refused")), "interrupted .*200 settings"),
    ],
)
def test_what_has_to_be_mended_is_an_error(study: Any, calls: list[str], outcome: Outcome, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        conclude(study, outcome, Path("page.html"))
    assert calls == []


def test_a_finished_study_says_what_it_found_and_how_much_its_first_figure_flattered(
    study: Any, calls: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conclude(study, Outcome(RESULTS), tmp_path / "page.html", workspace=Path("my runs"))
    assert calls == ["registered", "reported"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "building the report" not in line]
    assert lines == [
        "study s: 3 trials (2 finished, 1 stopped, 0 failed); best is trial 3, 30.50 dB",
        "confirmed by a fresh seed: trial 0, 30.50 dB; the search's own figure was 30.00 dB, which did not flatter",
        "registered: gkmnet version 3, without the alias challenger: 28.00 dB, not better than version 2",
        "promote it, if it passes the gates: gkm promote --version 3 --workspace 'my runs'",
        "2 test photographs: 28.00 dB, +1.50 dB over the blurred input",
        f"report: {tmp_path}/page.html",
        "compare the trials: link",
    ]
    flattered = replace(RESULTS, trials=(*TRIALS[:3], replace(TRIALS[4], seed=1)))
    conclude(study, Outcome(flattered), None)
    assert "the search's own figure was 31.00 dB, which flattered by 0.75 dB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mirrored", "sentence"),
    [
        (False, "MLflow does not have all of it yet.*run r: keeps no weights.*the same command"),
        (True, "^run r: keeps no"),
    ],
)
def test_a_model_that_mlflow_does_not_have_yet_is_no_mystery(
    study: Any, calls: list[str], monkeypatch: pytest.MonkeyPatch, mirrored: bool, sentence: str
) -> None:
    def missing(*_: object) -> None:
        raise InputError("run r: keeps no weights; the trial ended before it was written, or it was deleted")

    monkeypatch.setattr("gkm.registry.register_best", missing)
    with pytest.raises(InputError, match=sentence):
        conclude(study, Outcome(RESULTS, mirrored=mirrored), Path("page.html"))
    assert calls == []


def test_a_page_is_written_again_only_if_the_study_went_on_since(
    study: Any, calls: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gkm.registry.find_registered", lambda _, run_id: Registered(1, True) if run_id == "r" else None
    )
    page = tmp_path / "page.html"
    page.touch()
    conclude(study, Outcome(RESULTS, worked=False), page)
    assert calls == []
    text = capsys.readouterr().out
    assert "registered: gkmnet version 1, alias challenger" in text
    assert f"report: {page}" in text
    os.utime(page, (999, 999))
    conclude(study, Outcome(RESULTS, worked=False), page)
    assert calls == ["reported"]


def test_without_a_page_nothing_is_reported(study: Any, calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    conclude(study, Outcome(RESULTS), None)
    assert calls == ["registered"]
    assert "report" not in capsys.readouterr().out
    assert ending.TERMINATED == 143


def test_noise_is_scored_before_the_report_and_only_where_a_page_lacks_it(
    study: Any, calls: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def score(tracking: Any, data: str, folder: str, *, selector: str, sigmas_8bit: list[float], **_: Any) -> Any:
        calls.append("scored")
        asked.append((data, folder, selector, sigmas_8bit))
        levels = [SimpleNamespace(sigma_8bit=s, restored={"psnr": 27.0}, blurred={"psnr": 27.5}) for s in sigmas_8bit]
        return SimpleNamespace(levels=levels)

    monkeypatch.setattr("gkm.scoring.noise.study_noise", score)
    page, noise = tmp_path / "page.html", Noise((0.0, 3.0), "scores")
    conclude(study, Outcome(RESULTS), page, noise)
    assert calls == ["registered", "scored", "reported"]
    assert asked == [("d", "scores", "3", [3.0])], "the report scores them without noise by itself"
    said = "with noise of 3 grey levels: 27.00 dB, -0.50 dB over the blurred input"
    assert said in capsys.readouterr().out
    page.touch()
    page.with_suffix(".csv").write_text("noise_sigma_8bit\n0\n")
    calls.clear()
    conclude(study, Outcome(RESULTS), page)
    assert calls == ["registered"], "nobody asked for noise"
    conclude(study, Outcome(RESULTS), page, noise)
    assert calls[1:] == ["registered", "scored", "reported"]
    page.with_suffix(".csv").write_text("noise_sigma_8bit\n0\n3\n")
    calls.clear()
    conclude(study, Outcome(RESULTS), page, noise)
    assert calls == ["registered"]
