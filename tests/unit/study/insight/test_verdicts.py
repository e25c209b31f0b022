"""What is said of arms, seeds, confirmations and the first setting, and what is not said where scores are missing."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from gkm.config import TrialConfig
from gkm.study.design.objective import Objective
from gkm.study.insight.statistics import holm, mean_interval, paired_difference
from gkm.study.insight.verdicts import against_baseline, arm_verdicts, confirmation, scene_note, setting_rows
from gkm.study.record.results import StudyResults, TrialRow

PHOTOGRAPHS = tuple(f"scene-{i}/photo" for i in range(6))
BASE = 26 + np.arange(6) / 3


def trial(number: int, scores: Sequence[float] | float, **values: object) -> TrialRow:
    """A finished trial with scores by photograph, or with a mean alone."""
    photographs = None if isinstance(scores, float) else tuple(float(score) for score in scores)
    psnr = float(np.mean(scores))
    known: dict[str, object] = {
        "status": "finished",
        "group": number,
        "photographs": photographs,
        "history": ({"epoch": 9.0, "val/psnr": psnr, "best/val/psnr": psnr},),
    }
    return TrialRow(number, config=TrialConfig(), **{**known, **values})  # type: ignore[arg-type]


def ablation(effects: dict[str, float], seeds: int = 3, spread: float = 0.03) -> StudyResults:
    """Arms that are better by so many dB than "full", the reference, which is among them."""
    noise = np.random.default_rng(0).normal(0, spread, (len(effects), seeds, len(PHOTOGRAPHS)))
    trials = [
        trial(seed * len(effects) + place, BASE + effect + noise[place, seed], arm=arm, group=place, seed=seed)
        for seed in range(seeds)
        for place, (arm, effect) in enumerate(effects.items())
    ]
    return StudyResults("a", tuple(trials), kind="arms", reference="full", photographs=PHOTOGRAPHS)


def change(results: StudyResults, number: int, **values: object) -> StudyResults:
    trials = [dataclasses.replace(t, **values) if t.number == number else t for t in results.trials]  # type: ignore[arg-type]
    return dataclasses.replace(results, trials=tuple(trials))


# Arms


def test_arms_are_called_what_they_are_against_the_reference() -> None:
    rows = arm_verdicts(ablation({"a": -0.5, "full": 0.0, "b": 0.4, "c": 0.0}))
    assert [(row.name, row.kind) for row in rows] == [
        ("full", "reference"),
        ("a", "worse"),
        ("b", "better"),
        ("c", "equivalent"),
    ]
    assert rows[2].sentence.startswith("better by 0.4")
    assert rows[0].comparison is None


def test_an_arms_difference_is_that_of_all_its_finished_seeds_paired_by_photograph() -> None:
    results = ablation({"full": 0.0, "a": 0.2})
    by_arm = {arm: [t.photographs for t in results.trials if t.arm == arm] for arm in ("full", "a")}
    expected = paired_difference(by_arm["a"], by_arm["full"])
    (_, row) = arm_verdicts(results)
    assert row.comparison is not None
    assert row.comparison.difference == expected
    assert row.comparison.adjusted_p is None, "one comparison needs no allowance"
    assert "Holm" not in row.sentence
    means = mean_interval([[t.score] for t in results.trials if t.arm == "a"])
    assert (row.interval, row.seeds, row.trials) == (means, 3, 3)


def test_p_values_allow_for_the_arms_that_have_one() -> None:
    results = ablation({"full": 0.0, "a": 0.1, "b": 0.2, "c": 0.3})
    for number in (3, 7):  # of "c" a single seed is left
        results = change(results, number, status="failed")
    compared = [row.comparison for row in arm_verdicts(results) if row.comparison]
    first, second, third = (one.difference for one in compared)
    assert first
    assert second
    assert third
    assert third.p_value is None
    assert [one.adjusted_p for one in compared[:2]] == holm([first.p_value or 0, second.p_value or 0])
    assert "after Holm" in compared[0].sentence


def test_a_seed_that_failed_is_left_out_and_named() -> None:
    results = change(ablation({"full": 0.0, "a": 0.5}), 1, status="failed", reason="nan", photographs=None)
    (_, row) = arm_verdicts(results)
    assert row.comparison is not None
    assert row.comparison.notes == ("a, seed 0: failed",)
    assert (row.seeds, row.trials) == (2, 3)
    assert row.kind == "better"


@pytest.mark.parametrize(
    ("photographs", "why"),
    [
        (None, "a, seed 1: its scores by photograph are not on record"),
        ((27.0, 28.0), "a, seed 1: has scores of 2 photographs, but the study has 6"),
        ((27.0, 28.0, math.inf, 29.0, 29.0, 29.0), "a, seed 1: its score on scene-2/photo is inf"),
    ],
)
def test_scores_that_cannot_be_paired_are_named_and_not_used(photographs: tuple[float, ...] | None, why: str) -> None:
    results = change(ablation({"full": 0.0, "a": 0.5}), 3, photographs=photographs)
    (_, row) = arm_verdicts(results)
    assert row.comparison is not None
    assert row.comparison.notes == (why,)
    assert row.comparison.difference is not None
    assert row.comparison.difference.seeds == 2


def test_without_any_scores_by_photograph_there_is_no_verdict() -> None:
    results = ablation({"full": 0.0, "a": 0.5})
    for number in (0, 2, 4):
        results = change(results, number, photographs=None)
    (_, row) = arm_verdicts(results)
    assert row.kind == "no verdict"
    assert row.sentence == "no verdict: full without a finished run that has scores by photograph"
    assert row.interval is not None, "its score is known all the same"


def test_a_reference_that_never_ran_leaves_arms_without_verdicts() -> None:
    results = ablation({"full": 0.0, "a": 0.5})
    results = dataclasses.replace(results, trials=tuple(t for t in results.trials if t.arm == "a"))
    assert [(row.name, row.kind) for row in arm_verdicts(results)] == [("a", "no verdict")]


def test_one_seed_gives_no_verdict() -> None:
    (_, row) = arm_verdicts(ablation({"full": 0.0, "a": 0.5}, seeds=1))
    assert row.kind == "no verdict"
    assert row.sentence.startswith("one seed only: no verdict")
    assert row.interval is not None
    assert row.interval.low is None


def test_a_search_has_no_arms() -> None:
    assert arm_verdicts(dataclasses.replace(ablation({"full": 0.0, "a": 0.5}), kind="search")) == []


# Scenes


def test_scenes_are_averaged_before_they_are_compared() -> None:
    names = ("barn/1", "barn/2", "barn/3", "lake/1", "rock/1", "rock/2")
    results = dataclasses.replace(ablation({"full": 0.0, "a": 0.2}), photographs=names)
    (_, row) = arm_verdicts(results)
    assert row.comparison is not None
    assert row.comparison.difference is not None
    assert row.comparison.difference.photographs == 3

    def by_scene(arm: str) -> list[list[float]]:
        rows = [np.array(t.photographs) for t in results.trials if t.arm == arm]
        return [[scores[:3].mean(), scores[3], scores[4:].mean()] for scores in rows]

    expected = paired_difference(by_scene("a"), by_scene("full"))
    assert row.comparison.difference.low == pytest.approx(expected.low)
    assert row.comparison.difference.p_value == pytest.approx(expected.p_value)
    assert scene_note(results) == "the 6 validation photographs show 3 scenes; each scene was averaged first"


def test_a_verdict_of_one_scene_says_so() -> None:
    names = tuple(f"moto/moto-{i}" for i in range(6))
    results = dataclasses.replace(ablation({"full": 0.0, "a": 0.5}), photographs=names)
    (_, row) = arm_verdicts(results)
    assert row.kind == "better", "there is one for that scene"
    note = scene_note(results)
    assert note == "all 6 validation photographs show one scene (moto): a verdict holds for that scene only"


def test_photographs_of_as_many_scenes_need_no_note() -> None:
    assert scene_note(ablation({"full": 0.0, "a": 0.5})) is None
    assert "does not name" in (scene_note(StudyResults("s", ())) or "")


def test_ssim_is_compared_in_hundredths() -> None:
    results = ablation({"full": 0.0, "a": 0.5})
    trials = []
    for row in results.trials:
        assert row.photographs is not None
        ssim = tuple(score / 50 for score in row.photographs)
        history = ({"epoch": 9.0, "val/ssim": float(np.mean(ssim))},)
        trials.append(dataclasses.replace(row, photographs=ssim, metric="val/ssim", history=history))
    results = dataclasses.replace(results, trials=tuple(trials), objectives=(Objective("val/ssim", "max", ""),))
    (_, row) = arm_verdicts(results)
    assert row.kind == "better"
    assert "hundredths of SSIM" in row.sentence
    assert "dB" not in row.sentence
    assert row.comparison is not None
    assert row.comparison.difference is not None
    assert row.comparison.difference.mean == pytest.approx(1.0, abs=0.1)


# Seeds and confirmation


def confirmed(fresh: dict[int, list[float]], **first: object) -> StudyResults:
    """Settings 0, 1, 2 with 27, 28 and 27.9 dB in the search, and fresh seeds for some."""
    trials = [trial(0, BASE), trial(1, BASE + 1), trial(2, BASE + 0.9)]
    for group, gains in fresh.items():
        for seed, gain in enumerate(gains, 1):
            scores = BASE + gain + 0.02 * np.sin(np.arange(6) * (seed + group))
            trials.append(trial(len(trials), scores, group=group, seed=seed, phase="confirm"))
    return StudyResults("s", tuple(trials), photographs=PHOTOGRAPHS)


def test_a_confirmation_says_by_how_much_the_first_score_flattered() -> None:
    found = confirmation(confirmed({1: [0.7, 0.8], 2: [0.2, 0.1]}))
    assert found is not None
    assert [one.setting.number for one in found.settings] == [1, 2]
    assert found.best.flattery == pytest.approx(0.25, abs=0.02)
    assert (found.best.seeds, found.changed) == (2, False)
    assert found.best.fresh.low is not None
    assert found.sentence.startswith("Confirmed: setting 1 scores 27.58 dB, the mean of 2 fresh seeds; its first score")
    assert "flattered it by 0.2" in found.sentence


def test_fresh_seeds_may_choose_another_winner() -> None:
    results = confirmed({1: [0.3], 2: [0.8]})
    found = confirmation(results)
    assert found is not None
    assert results.winner is not None
    assert (found.first_winner, found.winner, found.changed) == (1, 2, True)
    assert results.winner.number == found.winner
    assert "the search alone would have taken setting 1" in found.sentence


def test_where_less_is_better_flattery_is_positive_as_well() -> None:
    loss = Objective("val/loss", "min", "")
    rows = [
        dataclasses.replace(
            t, metric="val/loss", mode="min", history=({"epoch": 9.0, "val/loss": 40 - t.score},), photographs=None
        )
        for t in confirmed({1: [0.7], 2: [0.2]}).trials
    ]
    found = confirmation(StudyResults("s", tuple(rows), objectives=(loss,)))
    assert found is not None
    assert found.best.setting.number == 1
    assert found.best.flattery == pytest.approx(0.3, abs=0.02)


def test_a_study_without_finished_fresh_seeds_is_not_confirmed() -> None:
    assert confirmation(confirmed({})) is None
    assert confirmation(change(confirmed({1: [0.5]}), 3, status="interrupted")) is None


def test_settings_with_several_seeds_have_means_of_search_and_of_fresh_seeds_apart() -> None:
    rows = setting_rows(confirmed({1: [0.5, 0.7]}))
    assert [row.setting.number for row in rows] == [1]
    assert (rows[0].seeds, rows[0].fresh_seeds) == (1, 2)
    assert rows[0].searched is not None
    assert rows[0].fresh is not None
    assert rows[0].searched.mean == pytest.approx(float(np.mean(BASE + 1)))
    assert rows[0].fresh.mean == pytest.approx(float(np.mean(BASE)) + 0.6, abs=0.02)


# The first setting


def test_the_winner_is_compared_with_the_first_setting_by_its_fresh_seeds() -> None:
    results = confirmed({0: [0.0, 0.1], 1: [0.7, 0.8], 2: [0.2, 0.3]})
    told = against_baseline(results)
    assert told is not None
    assert (told.name, told.reference, told.kind) == ("setting 1", "setting 0", "better")
    assert told.notes == ("setting 1 is judged by its fresh seeds",)
    assert told.difference is not None
    assert told.difference.mean == pytest.approx(0.7, abs=0.05)
    assert (told.difference.seeds, told.difference.reference_seeds) == (2, 2)


def test_a_winner_without_fresh_seeds_is_flattered_and_that_is_said() -> None:
    told = against_baseline(confirmed({}))
    assert told is not None
    assert told.kind == "no verdict"
    assert told.notes == ("setting 1 is judged by the runs it was chosen by, which flatters it",)


def test_a_first_setting_that_was_stopped_is_not_compared() -> None:
    told = against_baseline(change(confirmed({1: [0.5, 0.6]}), 0, status="stopped"))
    assert told is not None
    assert told.difference is None
    assert "setting 0, seed 0: stopped" in told.notes
    assert told.sentence == "no verdict: setting 0 without a finished run that has scores by photograph"


def test_a_winner_that_is_the_first_setting_is_compared_with_nothing() -> None:
    results = StudyResults("s", (trial(0, BASE + 1), trial(1, BASE)), photographs=PHOTOGRAPHS)
    assert against_baseline(results) is None
    assert against_baseline(StudyResults("s", ())) is None
