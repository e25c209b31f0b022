"""What the page says first: what was found, how far it can be trusted, and what it took."""

import dataclasses
import re

import pytest

from gkm.report.figures.bars import forest
from gkm.report.insight import insight_section, opening
from gkm.report.tables.comparisons import arms_section, in_print, seeds_section
from gkm.report.verdict import spending, validation_gain, verdict_section
from gkm.study.design.budget import Budget, Spent
from gkm.study.insight.verdicts import arm_verdicts
from gkm.study.record.results import StudyResults


def _text(study: StudyResults) -> str:
    return " ".join(verdict_section(study)["verdict_text"])


def _tiles(study: StudyResults) -> dict[str, str]:
    return {tile.title: tile.text for tile in verdict_section(study)["verdict_tiles"]}


def test_a_winner_that_was_not_confirmed_is_said_to_flatter(study: StudyResults) -> None:
    text = _text(study)
    assert text.startswith("Setting 0 is the best of 8 settings (M = 9, ")
    assert "Its score on validation is 26.69 dB, of a single run." in text
    assert "Not confirmed: the best of several noisy scores is too high on average" in text
    assert "Best on validation" in _tiles(study)


def test_a_confirmed_winner_has_its_fresh_score_and_what_flattered_it(confirmed: StudyResults) -> None:
    text = _text(confirmed)
    assert "Setting 2 is the best of 3 settings" in text
    assert "scores 26.60 dB, one fresh seed; its first score, 26.90 dB, flattered it by 0.30 dB." in text
    assert "Fresh seeds changed the choice: the search alone would have taken setting 1." in text
    assert "Setting 2 against setting 0, the first that was tried: one seed only: no verdict (difference 0.6" in text
    assert _tiles(confirmed)["Best on validation, confirmed"] == "26.60"
    assert _tiles(confirmed)["Its first score flattered by"] == "+0.30"
    rows = verdict_section(confirmed)["confirmed_rows"]
    assert [(row["number"], row["is_best"], row["was_best"]) for row in rows] == [(2, True, False), (1, False, True)]
    assert [cell.text for cell in rows[0]["cells"]] == ["26.90", "26.60", "–", "1", "+0.30"]


def test_the_gain_over_the_blurred_input_is_that_of_fresh_seeds(confirmed: StudyResults) -> None:
    assert validation_gain(confirmed) == pytest.approx(26.6 - 25.4)
    assert _tiles(confirmed)["Gain over the blurred input"] == "+1.20"
    assert validation_gain(dataclasses.replace(confirmed, blurred=())) is None


def test_limits_of_the_verdict_are_told(confirmed: StudyResults) -> None:
    notes = verdict_section(confirmed)["verdict_notes"]
    assert notes == [
        "The 4 validation photographs show 3 scenes; each scene was averaged first.",
        "Setting 2 is judged by its fresh seeds.",
    ]
    one = dataclasses.replace(confirmed, photographs=("a/1", "a/2", "a/3", "a/4"))
    assert "one scene (a): a verdict holds for that scene only." in verdict_section(one)["verdict_notes"][0]


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("finished", None, ""),
        ("finished", "the budget of 3 hours is spent", "ended before all its trials: the budget of 3 hours is spent."),
        ("interrupted", "Ctrl-C", "This study is interrupted: Ctrl-C."),
        ("failed", "no trial was validated", "This study has failed: no trial was validated."),
        ("running", None, "This study is still running."),
    ],
)
def test_a_study_that_is_not_whole_says_so(study: StudyResults, status: str, reason: str | None, said: str) -> None:
    state = verdict_section(dataclasses.replace(study, status=status, reason=reason))["state"]  # type: ignore[arg-type]
    assert said in state if said else state == ""


def test_plan_limit_and_spending_stand_side_by_side(study: StudyResults) -> None:
    rows = {label: [cell.text for cell in cells] for label, cells in spending(study)}
    seconds = sum(trial.seconds for trial in study.trials)
    assert rows == {
        "settings tried": ["–", "8", "8"],
        "trial epochs": ["88", "–", "70"],
        "device hours": ["0.10", "–", f"{seconds / 3600:.2f}"],
        "hours from start to end": ["–", "–", "0.20"],
    }
    paid = dataclasses.replace(study, budget=Budget(cost=20), spent=Spent(cost=12.5), planned={"cost": 15.0})
    assert dict(spending(paid))["cost"][2].text == "12.50"


def test_several_objectives_have_no_single_winner(front: StudyResults) -> None:
    assert _text(front).startswith("By validation PSNR (dB) alone, setting 0 is the best of 8")


def test_a_study_without_a_validated_trial_chooses_nothing(study: StudyResults) -> None:
    section = verdict_section(dataclasses.replace(study, trials=study.trials[7:]))
    assert section["verdict_text"] == ["No trial was validated, so there is nothing to choose from."]
    assert section["verdict_tiles"] == []


# Arms


def test_an_ablation_is_told_by_kinds_of_verdict(ablation: StudyResults) -> None:
    assert _text(ablation) == (
        "Against the reference “full”. Better: more scales. Worse: no learned kernels. "
        "No difference that matters: other rate. No verdict: one seed."
    )


def test_each_arm_has_its_figures_and_its_interval_drawn(ablation: StudyResults) -> None:
    arms = {arm["name"]: arm for arm in arms_section(ablation)["arms"]}
    assert next(iter(arms)) == "full"
    worse = arms["no learned kernels"]
    assert worse["changes"] == "T = 2, width = 5"
    assert worse["difference"].text.startswith("−0.6")
    assert worse["mean"].text == "25.99"
    assert re.search(r"\d to \d", worse["interval"].text)
    assert 'class="worse"' in worse["picture"]
    assert "no learned kernels: −0.6" in worse["picture"], "for who cannot see it"
    assert arms["one seed"]["seeds"].text == "1 of 3"
    assert arms["one seed"]["notes"] == "one seed, seed 1: failed; one seed, seed 2: failed"
    assert 'class="reference"' in arms["full"]["picture"]
    assert seeds_section(ablation) == {"setting_rows": []}, "its arms say it"


def test_intervals_lie_where_their_figures_say(ablation: StudyResults) -> None:
    comparisons = [arm.comparison for arm in arm_verdicts(ablation)]
    drawn = forest(comparisons)
    assert drawn is not None

    def ends(row: str) -> tuple[float, float]:
        found = re.search(r'class="range" d="M([\d.]+) [\d.]+H([\d.]+)', row)
        assert found
        return float(found[1]), float(found[2])

    zero = float(re.search(r'class="zero" d="M([\d.]+)', drawn.rows[0])[1])  # type: ignore[index]
    by_name = {c.name: ends(row) for c, row in zip(comparisons, drawn.rows, strict=True) if c is not None}
    assert by_name["no learned kernels"][1] < zero < by_name["more scales"][0]
    assert by_name["other rate"][0] < zero < by_name["other rate"][1]
    assert all(0 < low <= high < 208 for low, high in by_name.values())


def test_arms_that_cannot_be_compared_have_no_drawing(ablation: StudyResults) -> None:
    bare = tuple(dataclasses.replace(trial, photographs=None) for trial in ablation.trials)
    section = arms_section(dataclasses.replace(ablation, trials=bare))
    assert section["arm_axis"] == ""
    assert {arm["kind"] for arm in section["arms"]} == {"reference", "no verdict"}
    assert section["arms"][1]["mean"].text == "25.99", "scores are known all the same"


def test_minus_signs_are_set_and_names_left_alone() -> None:
    assert in_print("no difference (-0.05 to 0.1 dB), width-8 -1") == "no difference (−0.05 to 0.1 dB), width-8 −1"


# Seeds, importances, rungs, the record


def test_settings_with_several_seeds_have_means_and_intervals(study: StudyResults) -> None:
    trials = []
    for number, trial in enumerate([study.trials[0], study.trials[3]] * 2):
        history = ({"epoch": 18.0, "val/psnr": 26.0 + number},)
        trials.append(dataclasses.replace(trial, number=number, group=number % 2, seed=number // 2, history=history))
    rows = seeds_section(dataclasses.replace(study, trials=tuple(trials)))["setting_rows"]
    assert [row["number"] for row in rows] == [1, 0]
    assert [cell.text for cell in rows[0]["cells"]] == ["2", "28.00", "15.29 to 40.71", "0", "–", "–"]


def test_rungs_say_who_went_on(study: StudyResults) -> None:
    rows = insight_section(study)["rung_rows"]
    assert [(row.epoch, row.reached, row.stopped, row.went_on) for row, _ in rows] == [(2, 7, 0, 7), (6, 4, 1, 3)]
    assert "Of 4 trials at epoch 6, 3 went on and 1 were stopped" in rows[1][1]


def test_too_few_settings_have_no_importances_and_the_page_says_why(study: StudyResults) -> None:
    section = insight_section(study)
    assert section["importance_rows"] == []
    assert section["importance_note"] == "No importances: 6 settings with a score, but at least 8 are needed."


def test_importances_are_shares_of_a_hundred(study: StudyResults) -> None:
    more = tuple(dataclasses.replace(t, number=t.number + 8, group=t.group + 8) for t in study.trials)
    section = insight_section(dataclasses.replace(study, trials=study.trials + more))
    shares = [int(text.split()[0]) for _, text, _ in section["importance_rows"]]
    assert shares == sorted(shares, reverse=True)
    assert 97 <= sum(shares) <= 103
    assert section["importance_note"] == "From 12 settings."


def test_the_commands_that_open_the_record_can_be_pasted(study: StudyResults) -> None:
    there = dataclasses.replace(study, name="s", record="/my runs/records/s.journal")
    assert [command for _, command in opening(there)] == [
        "gkm study show s",
        "optuna-dashboard '/my runs/records/s.journal'",
    ]
    assert len(opening(dataclasses.replace(study, record=""))) == 1
