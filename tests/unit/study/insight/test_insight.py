"""Which settings are found to have mattered, and how many trials passed each rung."""

import dataclasses
import math
import random
from typing import Any

import optuna
import pytest

from gkm.config import TrialConfig
from gkm.study.design.objective import Objective
from gkm.study.insight.insight import RungRow, importances, is_logarithmic, rung_survival
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import TrialStatus

RATE, KERNELS, WIDTH = "optim.learning_rate", "model.num_kernels", "model.width"


def search(count: int, seed: int = 0, **values: Any) -> StudyResults:
    """Settings whose score hangs on the learning rate, best at 1e-3, and on nothing else."""
    drawn, trials = random.Random(seed), []
    for number in range(count):
        parameters = {RATE: 10 ** drawn.uniform(-4, -2), KERNELS: drawn.choice([5, 9, 13]), WIDTH: 8}
        psnr = 30 - 2 * abs(math.log10(parameters[RATE]) + 3) + 0.02 * drawn.random()
        trials.append(
            TrialRow(
                number,
                "finished" if number % 3 else "stopped",
                TrialConfig(),
                parameters,
                ({"epoch": 9.0, "val/psnr": psnr, "val/loss": -psnr},),
                group=number,
            )
        )
    return StudyResults("s", tuple(trials), **values)


def test_the_setting_that_mattered_is_found() -> None:
    found = importances(search(24))
    assert found.shares is not None
    assert list(found.shares) == [RATE, KERNELS]
    assert found.shares[RATE] > 0.7
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.left_out == {WIDTH: "had one value only"}
    assert found.settings == 24


def test_it_is_found_where_less_is_better_too() -> None:
    results = search(24, objectives=(Objective("val/loss", "min", ""),))
    rows = [dataclasses.replace(t, metric="val/loss", mode="min") for t in results.trials]
    found = importances(StudyResults("s", tuple(rows), objectives=results.objectives))
    assert found.shares == importances(search(24)).shares


def test_ranges_on_record_are_used_and_do_not_change_the_finding() -> None:
    results = search(24)
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    ranges = {
        RATE: optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        KERNELS: optuna.distributions.CategoricalDistribution([5, 9]),  # 13 was added later
    }
    study.add_trial(optuna.trial.create_trial(params={RATE: 1e-3, KERNELS: 5}, distributions=ranges, value=1.0))
    found = importances(results, storage)
    assert found.shares is not None
    assert max(found.shares, key=lambda path: (found.shares or {})[path]) == RATE
    assert found.shares != importances(results).shares


@pytest.mark.parametrize(
    ("results", "why"),
    [
        (search(7), "7 settings with a score, but at least 8 are needed"),
        (StudyResults("s", ()), "0 settings with a score, but at least 8 are needed"),
        (search(12, kind="arms"), "an ablation compares its arms one by one, see its verdicts"),
    ],
)
def test_nothing_is_said_where_nothing_is_known(results: StudyResults, why: str) -> None:
    found = importances(results)
    assert (found.shares, found.reason) == (None, why)


def test_settings_that_never_varied_have_no_importance() -> None:
    rows = [TrialRow(t.number, t.status, t.config, {WIDTH: 8}, t.history, group=t.group) for t in search(12).trials]
    found = importances(StudyResults("s", tuple(rows)))
    assert (found.shares, found.reason) == (None, "no searched setting had two values")


def test_equal_scores_have_no_importance() -> None:
    same = ({"epoch": 9.0, "val/psnr": 27.0},)
    rows = [TrialRow(t.number, "finished", t.config, t.parameters, same, group=t.group) for t in search(12).trials]
    assert importances(StudyResults("s", tuple(rows))).reason == "all settings score the same"


def test_a_setting_searched_in_some_trials_only_has_its_share() -> None:
    rows = []
    for t in search(24).trials:
        extra = (
            {"model.gcm": "learned", "data.batch_size": 2 + t.number % 3} if t.number % 2 else {"model.gcm": "fixed"}
        )
        rows.append(TrialRow(t.number, t.status, t.config, {**t.parameters, **extra}, t.history, group=t.group))
    found = importances(StudyResults("s", tuple(rows)))
    assert found.shares is not None
    assert set(found.shares) == {RATE, KERNELS, "model.gcm", "data.batch_size"}
    assert next(iter(found.shares)) == RATE


def test_fresh_seeds_and_failures_are_not_counted_as_settings() -> None:
    results = search(9)
    first = results.trials[0]
    more = (
        TrialRow(9, "finished", first.config, first.parameters, first.history, group=0, phase="confirm"),
        TrialRow(10, "failed", first.config, first.parameters, first.history, group=10),
    )
    assert importances(StudyResults("s", results.trials + more)).settings == 9


def test_nothing_of_optunas_own_words_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        importances(search(12))
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


# Rungs


def reached(number: int, epochs: int, status: TrialStatus, every: int = 1, **values: Any) -> TrialRow:
    history = tuple({"epoch": float(epoch), "val/psnr": 20.0 + epoch} for epoch in range(every, epochs + 1, every))
    return TrialRow(number, status, TrialConfig(), {}, history, group=number, **values)


def test_each_rung_says_who_came_and_who_was_stopped() -> None:
    trials = (
        reached(0, 9, "finished"),
        reached(1, 1, "stopped"),
        reached(2, 3, "stopped"),
        reached(3, 2, "failed"),
        reached(4, 4, "interrupted"),
        reached(5, 0, "refused"),
        reached(6, 9, "finished", phase="confirm"),
    )
    rows = rung_survival(StudyResults("s", trials, rungs=(1, 3)))
    assert rows == [RungRow(1, 5, 1), RungRow(3, 3, 1)]
    assert [row.went_on for row in rows] == [4, 2]


def test_a_rung_between_two_validations_counts_at_the_next_one() -> None:
    trials = (reached(0, 6, "finished", every=2), reached(1, 4, "stopped", every=2))
    assert rung_survival(StudyResults("s", trials, rungs=(1, 3))) == [RungRow(1, 2, 0), RungRow(3, 2, 1)]


def test_a_trial_that_the_budget_stopped_between_rungs_went_on_at_the_last() -> None:
    assert rung_survival(StudyResults("s", (reached(0, 2, "stopped"),), rungs=(1, 3))) == [
        RungRow(1, 1, 0),
        RungRow(3, 0, 0),
    ]


def test_a_study_without_rungs_has_no_rows() -> None:
    assert rung_survival(StudyResults("s", (reached(0, 9, "finished"),))) == []


def test_values_that_span_decades_are_logarithmic() -> None:
    assert is_logarithmic([1e-4, 2e-3])
    assert not is_logarithmic([1e-3, 5e-3])
    assert not is_logarithmic([0.0, 5.0])
    assert not is_logarithmic(["l2", "paper"])
    assert not is_logarithmic([])
