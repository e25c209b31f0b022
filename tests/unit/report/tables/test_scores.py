"""The rows of the page: what is shown, in which order, and what is said of it."""

import dataclasses
import math
from pathlib import Path

import pytest

from gkm.evaluation import ImageScore
from gkm.report import ReportSummary, TestScores
from gkm.report.tables.cells import Cell, count, difference, duration, interval, number
from gkm.report.tables.scores import finding, score_rows, summary_rows
from gkm.report.tables.study_table import front_heads, front_rows, heads, settings_rows, study_rows
from gkm.study.design.objective import Objective
from gkm.study.insight.statistics import Interval
from gkm.study.record.results import StudyResults


def _scores(*psnr: float, lpips: float | None = None) -> list[ImageScore]:
    return [ImageScore(scene=f"s{i}", name=f"s{i}", psnr=value, ssim=0.5, lpips=lpips) for i, value in enumerate(psnr)]


def test_trials_are_listed_best_first_and_those_without_a_score_last(study: StudyResults) -> None:
    rows = study_rows(study)
    assert len(rows) == len(study.trials)
    assert rows[0].is_best
    assert rows[0].number == study.best.number  # type: ignore[union-attr]
    assert [row.is_best for row in rows[1:]] == [False] * (len(rows) - 1)
    assert rows[-1].number == 7
    assert rows[-1].cells[0].text == "–"
    shown = [float(row.cells[0].text) for row in rows[:-1]]
    assert shown == sorted(shown, reverse=True)


def test_a_failed_trial_shows_its_reason_and_how_far_it_came(study: StudyResults) -> None:
    (row,) = (row for row in study_rows(study) if row.number == 4)
    assert row.status == "failed"
    assert "became nan" in row.reason
    assert row.cells[2].text == "2 / 18"


def test_fresh_seeds_and_their_setting_are_told(confirmed: StudyResults) -> None:
    shown = {row.number: row for row in study_rows(confirmed)}
    assert shown[4].role == "confirms setting 2"
    assert shown[2].role == ""
    assert [head.text for head in heads(confirmed)][:5] == ["PSNR (dB)", "SSIM", "epochs", "time", "seed"]
    assert (shown[4].cells[4].text, shown[2].cells[4].text) == ("1", "0")


def test_an_ablation_names_the_arm_of_each_trial(ablation: StudyResults) -> None:
    place = [head.text for head in heads(ablation)].index("arm")
    assert {row.cells[place].text for row in study_rows(ablation)} == {
        "full", "no learned kernels", "more scales", "other rate", "one seed"
    }  # fmt: skip


def test_every_row_has_a_cell_for_every_head(
    study: StudyResults, confirmed: StudyResults, ablation: StudyResults, front: StudyResults
) -> None:
    for any_study in (study, confirmed, ablation, front):
        assert {len(row.cells) for row in study_rows(any_study)} == {len(heads(any_study))}
    assert {len(row.cells) for row in front_rows(front)} == {len(front_heads(front))}


def test_the_front_shows_all_objectives(front: StudyResults) -> None:
    rows = front_rows(front)
    assert [row.number for row in rows] == [trial.number for trial in front.front]
    assert [head.text for head in front_heads(front)][:2] == ["PSNR (dB)", "MAC/pixel"]
    assert rows[0].cells[1].text == "9\N{NARROW NO-BREAK SPACE}000"
    marked = {row.number for row in study_rows(front) if row.role == "on the front"}
    assert marked == {trial.number for trial in front.front}


def test_where_less_is_better_the_least_comes_first(study: StudyResults) -> None:
    trials = tuple(
        dataclasses.replace(
            t,
            metric="val/loss",
            mode="min",
            history=tuple({**metrics, "val/loss": 1 / metrics["val/psnr"]} for metrics in t.history),
        )
        for t in study.trials
    )
    less = dataclasses.replace(study, trials=trials, objectives=(Objective("val/loss", "min", ""),))
    rows = study_rows(less)
    assert [head.text for head in heads(less)][4] == "val. loss"
    assert rows[-1].number == 7, "it has no score"
    shown = [row.cells[4].key for row in rows[:-1]]
    assert shown == sorted(shown)  # type: ignore[type-var]


def test_a_trials_score_is_that_of_the_epoch_whose_weights_were_kept(study: StudyResults) -> None:
    trial = study.trials[0]
    (row,) = (row for row in study_rows(study) if row.number == 0)
    assert row.cells[0].text == f"{trial.score:.2f}"
    assert row.cells[1].text == f"{trial.best_epoch['val/ssim']:.3f}"  # type: ignore[index]
    assert trial.score > trial.history[-1]["val/psnr"]


@pytest.mark.parametrize(
    ("value", "higher_is_better", "text", "verdict"),
    [
        (0.874, True, "+0.87", "better"),
        (-0.5, True, "−0.50", "worse"),
        (-0.031, False, "−0.03", "better"),
        (0.2, False, "+0.20", "worse"),
        (0.004, True, "±0.00", "same"),
        (-0.004, True, "±0.00", "same"),
        (math.inf, True, "+∞", "better"),
    ],
)
def test_differences_have_a_sign_and_a_verdict_on_what_is_shown(
    value: float, higher_is_better: bool, text: str, verdict: str
) -> None:
    cell = difference(value, 2, higher_is_better)
    assert (cell.text, cell.verdict) == (text, verdict)


def test_numbers_that_cannot_be_had_are_dashes_without_a_sorting_key() -> None:
    assert number(None, 2) == Cell("–")
    assert number(math.nan, 2) == Cell("–")
    assert number(-1.234, 1).text == "−1.2"


def test_counts_and_intervals() -> None:
    assert count(1234567).text == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert count(None) == Cell("–")
    assert interval(Interval(0.0, -0.126, 0.2), 2).text == "−0.13 to 0.20"
    assert interval(Interval(1.0, None, None), 2) == Cell("–")
    assert interval(None, 2) == Cell("–")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3605, "1 h 00 min"), (90061, "25 h 01 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_scores_stand_beside_their_difference() -> None:
    tests = TestScores(blurred=_scores(20, 30, lpips=0.3), restored=_scores(21, 30.5, lpips=0.2))
    first = [cell.text for cell in score_rows(tests)[0].cells]
    assert first == ["20.00", "21.00", "+1.00", "0.500", "0.500", "±0.000", "0.300", "0.200", "−0.100"]
    mean, spread = summary_rows(tests)
    assert [cell.text for cell in mean.cells[:3]] == ["25.00", "25.75", "+0.75"]
    assert [cell.text for cell in spread.cells[:3]] == ["", "", "0.35"]


def test_scores_without_lpips_or_of_one_photograph_are_dashes_not_errors() -> None:
    tests = TestScores(blurred=_scores(20), restored=_scores(21))
    assert [cell.text for cell in score_rows(tests)[0].cells[6:]] == ["–", "–", "–"]
    assert summary_rows(tests) == []
    two = TestScores(blurred=_scores(20, 21), restored=_scores(21, 22))
    assert summary_rows(two)[1].cells[8].text == "–"


def test_scores_of_different_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="same photographs"):
        TestScores(blurred=_scores(20, 21), restored=_scores(20))


@pytest.mark.parametrize(("restored", "verb"), [(21.0, "raises"), (19.0, "lowers")])
def test_the_finding_says_gain_and_loss_alike(study: StudyResults, restored: float, verb: str) -> None:
    tests = TestScores(blurred=_scores(20), restored=_scores(restored))
    text = finding(study, tests).replace("\N{NO-BREAK SPACE}", " ")
    assert f"Trial 0, the best on validation, {verb} the PSNR of the one test photograph from 20.00 dB" in text
    assert "M = 9" in text
    assert "learning rate = 0.003" in text


def test_the_finding_does_not_call_nothing_a_gain(study: StudyResults) -> None:
    text = finding(study, TestScores(blurred=_scores(20), restored=_scores(20.001)))
    assert "leaves the PSNR of the one test photograph at the 20.00\N{NO-BREAK SPACE}dB of the blurred input" in text


def test_no_gain_is_told_where_a_blurred_photograph_is_its_sharp_one(study: StudyResults) -> None:
    endless = _scores(20, math.inf)
    assert "nothing that can be told" in finding(study, TestScores(blurred=endless, restored=endless))
    means = [{"psnr": psnr, "ssim": 1.0, "lpips": 0.0} for psnr in (math.inf, 30.0)]
    for restored in means:
        summary = ReportSummary(Path("report.html"), 2, blurred=means[0], restored=restored)
        told = "no gain to be told, since a blurred photograph is its sharp one"
        assert summary.sentence == f"On 2 test photographs: {restored['psnr']:.2f} dB, {told}."
        assert summary.lines[-1] == f"gain: {told}"
    usual = ReportSummary(Path("report.html"), 2, blurred={**means[0], "psnr": 29.5}, restored=means[1])
    assert usual.sentence == "On 2 test photographs: 30.00 dB, +0.50 dB over the blurred input."
    assert usual.lines[-1] == "gain: +0.50 dB"


def test_the_finding_gives_the_spread_over_photographs(study: StudyResults) -> None:
    tests = TestScores(blurred=_scores(20, 30, 25), restored=_scores(21, 29.5, 26))
    text = finding(study, tests).replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "(95 % interval −1.65 to +2.65 dB for other photographs; −0.50 to +1.00 dB per photograph, "
        "standard deviation 0.87 dB; 2 of 3 improve)" in text
    )


def test_the_finding_names_a_setting_of_several_seeds(confirmed: StudyResults) -> None:
    text = finding(confirmed, TestScores(blurred=_scores(20), restored=_scores(21)))
    assert text.startswith("Trial 2, of the setting that is the best on validation, raises")


def test_settings_tell_which_were_searched(study: StudyResults) -> None:
    rows = {
        path: (value, searched) for path, value, searched in settings_rows(study.trials[0].config, study.parameters)
    }
    assert rows["model.max_kernel_size"] == ("9", True)
    assert rows["training.epochs"] == ("18", False)
    assert rows["data.flips"] == ("false", False)
