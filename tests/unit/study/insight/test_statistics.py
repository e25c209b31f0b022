"""Whether verdicts on settings hold what they promise."""

import numpy as np
import pytest
from scipy import stats

from gkm.study.insight.statistics import (
    Difference,
    Variances,
    holm,
    mean_interval,
    paired_difference,
    seeds_needed,
    verdict,
    verdict_kind,
)

Scores = np.ndarray


class Studies:
    """Simulated studies of two settings, with known standard deviations in dB."""

    def __init__(
        self, *, seeds: tuple[float, float] = (0, 0), photographs: float = 0, residual: float = 0, random: int = 0
    ) -> None:
        self.seeds, self.photographs, self.residual = seeds, photographs, residual
        self.rng = np.random.default_rng(random)

    def draw(self, runs: tuple[int, int], photographs: int, effect: float = 0.0) -> tuple[Scores, Scores]:
        """Scores [seeds, photographs] of an arm, better by `effect`, and of its reference."""
        base = 28 + 3 * self.rng.standard_normal(photographs)
        arm, reference = (
            base
            + self.photographs / 2**0.5 * self.rng.standard_normal(photographs)
            + spread * self.rng.standard_normal((count, 1))
            + self.residual * self.rng.standard_normal((count, photographs))
            for count, spread in zip(runs, self.seeds, strict=True)
        )
        return arm + effect, reference

    def share_shown(self, runs: tuple[int, int], photographs: int, effect: float = 0.0, number: int = 500) -> float:
        """In what part of the studies a difference is claimed."""
        p_values = [paired_difference(*self.draw(runs, photographs, effect)).p_value for _ in range(number)]
        return sum(p_value is not None and p_value <= 0.05 for p_value in p_values) / number


def difference(mean: float, half: float, p_value: float | None = 0.5, **values: float | str | None) -> Difference:
    """Three seeds each on 74 photographs, of which little else is known."""
    known = {"effect_size": None, "level": 0.95, "seeds": 3, "reference_seeds": 3, "photographs": 74, "caveat": None}
    variances = Variances(arm_runs=0.01, reference_runs=0.01, photographs=0.01, residual=0.02)
    return Difference(mean, mean - half, mean + half, p_value, variances=variances, **{**known, **values})


# How often it errs


@pytest.mark.parametrize("photographs", [5, 74])
@pytest.mark.parametrize(
    "varies",
    [
        {"seeds": (0.1, 0.1), "photographs": 0.3, "residual": 0.15},
        {"seeds": (0.1, 0.1)},
        {"photographs": 0.3},
        {"seeds": (0.15, 0.03), "photographs": 0.3, "residual": 0.15},
    ],
    ids=["both", "seeds", "photographs", "unlike seeds"],
)
def test_equal_settings_differ_in_5_percent_of_studies_with_three_seeds(varies: dict, photographs: int) -> None:
    # The true rates are 3.5 to 6.5 %, and two standard errors of 500 studies are 2 %.
    assert 0.015 <= Studies(**varies).share_shown((3, 3), photographs) <= 0.085


def test_numbers_of_seeds_may_differ() -> None:
    studies = Studies(seeds=(0.1, 0.1), photographs=0.1, residual=0.1)
    assert 0.02 <= studies.share_shown((3, 6), 20) <= 0.08


def test_the_interval_holds_the_true_difference() -> None:
    studies = Studies(seeds=(0.1, 0.1), photographs=0.3, residual=0.15)
    intervals = [paired_difference(*studies.draw((3, 3), 20, effect=0.5), level=0.8) for _ in range(500)]
    assert 0.77 <= np.mean([one.low <= 0.5 <= one.high for one in intervals]) <= 0.87


def test_more_seeds_find_a_difference_more_often() -> None:
    studies = Studies(seeds=(0.1, 0.1), residual=0.1)
    few, many = (studies.share_shown((seeds, seeds), 20, effect=0.15, number=200) for seeds in (3, 8))
    assert many > few + 0.3


# Where the designs coincide with simpler ones


def test_seeds_alone_are_welchs_test_of_the_runs() -> None:
    rng = np.random.default_rng(0)
    arm, reference = rng.normal(28.3, 0.1, 3), rng.normal(28, 0.2, 5)
    expected = stats.ttest_ind(arm, reference, equal_var=False)
    low, high = expected.confidence_interval(0.9)
    found = paired_difference(np.tile(arm[:, None], 7), np.tile(reference[:, None], 7), level=0.9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    # One photograph only: the same interval, but no p-value.
    found = paired_difference(arm[:, None], reference[:, None], level=0.9)
    assert (found.low, found.high, found.p_value) == (pytest.approx(low), pytest.approx(high), None)


def test_photographs_alone_are_students_test_of_their_differences() -> None:
    rng = np.random.default_rng(0)
    arm, reference = rng.normal(28.3, 3, 10), rng.normal(28, 3, 10)
    expected = stats.ttest_rel(arm, reference)
    assert expected.pvalue == pytest.approx(stats.ttest_1samp(arm - reference, 0).pvalue)
    found = paired_difference(np.tile(arm, (3, 1)), np.tile(reference, (4, 1)))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    # One seed only: the same interval, but no p-value.
    found = paired_difference(arm[None], reference[None])
    low, high = expected.confidence_interval()
    assert (found.low, found.high, found.p_value) == (pytest.approx(low), pytest.approx(high), None)


def test_a_constant_reference_makes_it_a_test_of_the_arms_runs() -> None:
    runs = np.array([0.3, 0.1, 0.4])
    found = paired_difference(np.tile(runs[:, None], 5), np.zeros((3, 5)))
    assert found.p_value == pytest.approx(stats.ttest_1samp(runs, 0).pvalue)


def test_the_effect_size_is_in_standard_deviations_of_one_run_on_one_photograph() -> None:
    studies = Studies(seeds=(0.3, 0.4), photographs=1.2, residual=0.5)
    found = paired_difference(*studies.draw((400, 400), 400, effect=1))
    assert found.effect_size == pytest.approx(found.mean / (0.3**2 + 0.4**2 + 1.2**2 + 2 * 0.5**2) ** 0.5, rel=0.05)


def test_swapping_the_settings_swaps_the_signs() -> None:
    arm, reference = Studies(seeds=(0.1, 0.1), photographs=0.3, residual=0.15).draw((3, 4), 12)
    there, back = paired_difference(arm, reference), paired_difference(reference, arm)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert back.p_value == pytest.approx(there.p_value)


@pytest.mark.parametrize(("shift", "p_value"), [(0.0, 1.0), (0.1, 0.0)])
def test_scores_without_any_spread(shift: float, p_value: float) -> None:
    found = paired_difference(np.full((3, 7), 30.1 + shift), np.full((5, 7), 30.1))
    assert found.p_value == p_value
    assert (found.low, found.high) == pytest.approx((shift, shift), abs=1e-9)
    assert found.effect_size is None
    assert seeds_needed(found) == 2


# What cannot be compared


@pytest.mark.parametrize(
    ("arm", "reference", "words"),
    [
        (np.zeros(3), np.zeros((3, 2)), r"arm: has the shape \(3,\)"),
        (np.zeros((3, 2)), np.zeros((0, 2)), "reference: .* no scores"),
        (np.zeros((3, 2)), np.zeros((3, 4)), "arm has scores of 2 photographs, reference of 4"),
        (np.zeros((3, 2)), [[1, 2], [3, np.inf]], "reference: the score of seed 1 on photograph 1 is inf"),
        ([[np.nan, 2]], [[1, 2]], "arm: the score of seed 0 on photograph 0 is nan"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(arm: Scores, reference: Scores, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paired_difference(arm, reference)


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_a_level_is_between_0_and_1(level: float) -> None:
    with pytest.raises(ValueError, match=r"level: is .* between 0 and 1"):
        paired_difference(np.zeros((3, 2)), np.zeros((3, 2)), level=level)
    with pytest.raises(ValueError, match="level: is"):
        mean_interval(np.zeros((3, 2)), level=level)


# The mean of one setting


def test_the_mean_of_a_setting_has_an_interval_over_its_seeds() -> None:
    scores = np.array([[28.0, 30.0], [29.0, 31.5], [28.5, 30.5]])
    found = mean_interval(scores, level=0.9)
    expected = stats.ttest_1samp(scores.mean(1), 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.mean == pytest.approx(scores.mean())


def test_one_seed_has_a_mean_without_bounds() -> None:
    found = mean_interval([[28.0, 30.0]])
    assert (found.mean, found.low, found.high) == (29.0, None, None)


# Several comparisons


def test_holm_in_a_worked_example() -> None:
    # Wikipedia, "Holm-Bonferroni method": of these, 0.01 and 0.005 are rejected at 5 %.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_at_its_ends() -> None:
    assert holm([]) == []
    assert holm([0.3]) == [0.3]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="p-value 1 is"):
            holm([0.5, bad])


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = rng.beta(0.3, 3, size=8).tolist()
        rejected = set()
        for step, place in enumerate(sorted(range(8), key=p_values.__getitem__)):
            if p_values[place] > 0.05 / (8 - step):
                break
            rejected.add(place)
        assert {place for place, p_value in enumerate(holm(p_values)) if p_value <= 0.05} == rejected


# How many seeds


@pytest.mark.parametrize(
    "varies", [{"seeds": (0.1, 0.1), "residual": 0.1}, {"seeds": (0.06, 0.06), "photographs": 0.17, "residual": 0.1}]
)
def test_the_seeds_asked_for_show_the_difference_in_four_of_five_studies(varies: dict) -> None:
    studies = Studies(**varies)
    run = varies["seeds"][0] ** 2 + 0.1**2 / 74
    variances = Variances(run, run, varies.get("photographs", 0.0) ** 2, 2 * 0.1**2)
    as_known = Difference(0, -1, 1, 1, 0, 0.95, 10**6, 10**6, 74, variances)
    seeds = seeds_needed(as_known)
    assert seeds is not None
    assert 0.75 <= studies.share_shown((seeds, seeds), 74, effect=0.1) <= 0.86


def test_three_seeds_are_enough_to_plan_by() -> None:
    studies = Studies(seeds=(0.1, 0.1), photographs=0.1, residual=0.15)
    shown = []
    for _ in range(120):
        seeds = seeds_needed(paired_difference(*studies.draw((3, 3), 74)))
        assert seeds is not None
        p_value = paired_difference(*studies.draw((seeds, seeds), 74, effect=0.1)).p_value
        shown.append(p_value is not None and p_value <= 0.05)
    assert 0.72 <= np.mean(shown) <= 0.9


def test_fewer_seeds_do_for_more_and_a_stricter_level_takes_more() -> None:
    known = difference(0, 0.2)
    usual = seeds_needed(known)
    assert usual is not None
    assert seeds_needed(known, effect_db=0.2) < usual
    assert seeds_needed(known, power=0.5) < usual
    assert seeds_needed(known, level=0.99) > usual
    assert seeds_needed(known, effect_db=100) == 2


def test_no_number_of_seeds_makes_up_for_photographs() -> None:
    arm, reference = Studies(seeds=(0.05, 0.05), photographs=2, residual=0.1, random=1).draw((3, 3), 8)
    found = paired_difference(arm, reference)
    assert seeds_needed(found) is None
    assert "more photographs are needed to show 0.1 dB" in verdict(found)


@pytest.mark.parametrize("wrong", [{"effect_db": 0}, {"effect_db": -1}, {"power": 0}, {"power": 1}, {"level": 95}])
def test_what_no_plan_can_be_made_for(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        seeds_needed(difference(0, 0.2), **wrong)


def test_no_plan_can_be_made_from_one_seed() -> None:
    with pytest.raises(ValueError, match="one seed only"):
        seeds_needed(paired_difference(np.zeros((1, 5)), np.zeros((3, 5))))


# Verdicts


@pytest.mark.parametrize(
    ("found", "adjusted_p", "kind", "sentence"),
    [
        (
            difference(0.32, 0.21, 0.002),
            0.004,
            "better",
            "better by 0.32 dB (95 % interval 0.11 to 0.53, p = 0.004 after Holm)",
        ),
        (difference(0.32, 0.21, 0.002), None, "better", "better by 0.32 dB (95 % interval 0.11 to 0.53, p = 0.002)"),
        (difference(-0.3, 0.1, 1e-6), None, "worse", "worse by 0.30 dB (95 % interval 0.20 to 0.40, p < 0.001)"),
        (
            difference(0.01, 0.04),
            None,
            "equivalent",
            "no difference of 0.1 dB or more (95 % interval -0.03 to 0.05 dB)",
        ),
        (
            difference(0.04, 0.01, 0.001),
            None,
            "equivalent",
            "no difference of 0.1 dB or more (95 % interval 0.03 to 0.05 dB)",
        ),
        (
            difference(0.035, 0.085),
            None,
            "undecided",
            "no difference shown (-0.05 to 0.12 dB); 27 seeds would show 0.1 dB",
        ),
        (
            difference(0.3, 0.2, 0.02),
            0.08,
            "undecided",
            "no difference shown (0.10 to 0.50 dB, p = 0.08 after Holm); 27 seeds would show 0.1 dB",
        ),
        (
            difference(0.06, 0.08, seeds=30, reference_seeds=40),
            None,
            "undecided",
            "no difference shown (-0.02 to 0.14 dB); 0.1 dB would probably have shown",
        ),
    ],
)
def test_a_verdict_is_a_word_and_a_sentence(
    found: Difference, adjusted_p: float | None, kind: str, sentence: str
) -> None:
    assert verdict_kind(found, adjusted_p=adjusted_p) == kind
    assert verdict(found, adjusted_p=adjusted_p) == sentence


@pytest.mark.parametrize(
    ("seeds", "photographs", "sentence"),
    [
        (1, 4, "one seed only: no verdict (difference 1.00 dB, 95 % interval 1.00 to 1.00 over photographs alone)"),
        (3, 1, "one photograph only: no verdict (difference 1.00 dB, 95 % interval 1.00 to 1.00 over seeds alone)"),
        (1, 1, "one seed and one photograph only: no verdict (difference 1.00 dB)"),
    ],
)
def test_one_seed_or_one_photograph_is_never_enough(seeds: int, photographs: int, sentence: str) -> None:
    found = paired_difference(np.full((seeds, photographs), 31.0), np.full((3, photographs), 30.0))
    assert verdict_kind(found) == "no verdict"
    assert verdict(found) == sentence
    assert found.p_value is None


def test_several_comparisons_take_more_seeds() -> None:
    found = difference(0.0, 0.2)
    one, nine = (verdict(found, adjusted_p=1, comparisons=comparisons) for comparisons in (1, 9))
    assert "27 seeds" in one
    assert int(nine.split("; ")[1].split()[0]) > 27


@pytest.mark.parametrize("wrong", [{"effect_db": 0}, {"adjusted_p": 2}, {"comparisons": 0}])
def test_verdicts_refuse_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        verdict(difference(0.0, 0.2), **wrong)
