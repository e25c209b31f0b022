"""Studies end as they would have ended, whatever happens to their drivers; and what they hand out, stop and confirm."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gkm.config import TrialConfig
from gkm.study.decisions.conductor import RETRIES, Assignment
from gkm.study.design.budget import Budget
from gkm.study.design.design import Design
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.objective import PSNR, Constraint, Objective
from gkm.study.design.search import NSGA2, TPE, Random
from gkm.study.design.space import Choice, Condition, Float, SearchSpace
from gkm.study.design.stopping import ASHA, Median, NoStopping
from gkm.study.record.record import Record
from gkm.study.record.results import StudyResults

SPEED = Objective("seconds_per_megapixel", "min", "s/MP")
RATES = {"optim.learning_rate": Float(1e-4, 1e-2, log=True), "model.num_kernels": Choice(5, 9, 13)}


def search(base: TrialConfig, **changes: Any) -> SearchSpace:
    best = {"optim.learning_rate": 1e-3, "model.num_kernels": 9}
    return SearchSpace(changes.pop("parameters", RATES), **{"base": base, "trials": 12, "baseline": best, **changes})


def arms(base: TrialConfig, **changes: Any) -> Arms:
    rates = {name: {"optim.learning_rate": rate} for name, rate in (("low", 1e-4), ("middle", 1e-3), ("high", 1e-2))}
    return Arms(rates, "middle", base=base, **{"seeds": (0, 1), **changes})


def grid(base: TrialConfig, **changes: Any) -> Grid:
    axes = {"optim.learning_rate": Choice(1e-4, 1e-3), "model.num_kernels": Choice(5, 9)}
    return Grid(axes, base=base, **{"stopping": ASHA(), **changes})


def told(results: StudyResults) -> list[tuple[object, ...]]:
    """All that a study is remembered by."""
    return [
        (t.number, t.status, t.reason, t.parameters, t.seed, t.group, t.phase, t.arm, t.history) for t in results.trials
    ]


def size(config: TrialConfig) -> dict[str, float]:
    return {"parameters": 100.0 * config.model.num_kernels}


def speeds(config: TrialConfig, epoch: int) -> dict[str, float]:
    return {SPEED.metric: 0.1 + 0.01 * config.model.num_kernels}


DESIGNS: dict[str, Callable[[TrialConfig], Design]] = {
    "search": search,
    "conditional search": lambda base: search(
        base,
        trials=8,
        baseline={},
        parameters={
            "model.gcm": Choice("fixed", "learned_random"),
            "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
            "optim.learning_rate": Float(1e-4, 1e-2, log=True),
        },
    ),
    "search from points": lambda base: search(
        base, trials=6, points_to_evaluate=[{"model.num_kernels": 13}, {"model.num_kernels": 5}]
    ),
    "search with seeds": lambda base: search(base, trials=5, seeds=(0, 1), confirm=2, stopping=Median(1, 3)),
    "two objectives": lambda base: search(base, trials=8, objectives=(PSNR, SPEED), sampler=NSGA2(population=4)),
    "search within limits": lambda base: search(
        base, trials=5, seeds=(0, 1), confirm=2, constraints=(Constraint("parameters", at_most=1000),)
    ),
    "arms": arms,
    "grid": grid,
}


@pytest.mark.parametrize("name", DESIGNS)
def test_a_study_whose_drivers_die_again_and_again_ends_as_an_undisturbed_one(
    name: str, base: TrialConfig, new_driver: Callable[[], Any]
) -> None:
    design, driver = DESIGNS[name](base), new_driver()
    driver.metrics = speeds
    how = {"complexity": size if getattr(design, "constraints", ()) else None}
    undisturbed = driver.run(design, **how)
    for seed in range(3):
        chance, driver = random.Random(seed), new_driver()
        driver.metrics = speeds
        torn = seed % 2 == 1
        results = driver.run_through_deaths(design, lambda death, c=chance: c.randint(1, 70), torn=torn, **how)
        assert told(results) == told(undisturbed)
        assert (results.winner and results.winner.number) == (undisturbed.winner and undisturbed.winner.number)
        assert results.spent.epochs == undisturbed.spent.epochs


@pytest.mark.slow
def test_it_does_not_matter_at_which_write_a_driver_dies(base: TrialConfig, new_driver: Callable[[], Any]) -> None:
    short = base.with_values({"training.epochs": 2})
    limit = Constraint("parameters", at_most=1000)
    design, driver = search(short, trials=3, confirm=2, seeds=(0, 1), constraints=(limit,)), new_driver()
    undisturbed = told(driver.run(design, complexity=size))
    for write in range(1, driver.writes + 1):
        once = {0: write}.get
        results = new_driver().run_through_deaths(design, once, complexity=size)
        assert told(results) == undisturbed, f"after dying at write {write}"


def test_several_trials_at_a_time_survive_deaths_without_gaps_or_doubles(
    base: TrialConfig, new_driver: Callable[[], Any]
) -> None:
    for seed in range(4):
        chance = random.Random(seed)
        results = new_driver().run_through_deaths(search(base), lambda death, c=chance: c.randint(5, 90), slots=3)
        searched = [trial for trial in results.trials if trial.phase == "search"]
        assert [trial.number for trial in searched] == list(range(12))
        for trial in results.trials:
            assert trial.status in ("finished", "stopped")
            assert [metrics["epoch"] for metrics in trial.history] == list(range(1, trial.epochs + 1))


def test_interrupted_trials_are_handed_out_first_with_their_number_settings_and_epoch(
    base: TrialConfig, driver: Any
) -> None:
    with driver.open(search(base)) as conductor:
        first, second = conductor.next_trial(), conductor.next_trial()
        driver.report(conductor, second, 1)
        assert conductor.record.results().count("running") == 2
    with driver.open(search(base)) as conductor:
        again = [conductor.next_trial() for _ in range(3)]
    assert [trial.number for trial in again] == [0, 1, 2]
    assert [trial.known_epoch for trial in again] == [0, 1, 0]
    assert [trial.config for trial in again[:2]] == [first.config, second.config]


def test_a_report_that_comes_twice_is_recorded_once(base: TrialConfig, driver: Any) -> None:
    with driver.open(search(base, stopping=NoStopping())) as conductor:
        trial = conductor.next_trial()
        for epoch in (1, 2, 1, 2, 3):
            assert driver.report(conductor, trial, epoch)
        assert [metrics["epoch"] for metrics in conductor.record.row(0).history] == [1, 2, 3]
        assert conductor.spent.epochs == 3


@pytest.mark.parametrize("kind", ["search", "grid"])
def test_a_decision_looks_at_no_more_trials_when_there_are_more(
    kind: str, base: TrialConfig, new_driver: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def counted(whole: Callable[..., Any]) -> Callable[..., Any]:
        def look(record: Record, number: int, *more: Any) -> Any:
            looks.append(number)
            return whole(record, number, *more)

        return look

    for name in ("status", "attribute", "row", "curve"):
        monkeypatch.setattr(Record, name, counted(getattr(Record, name)))

    def most_looks(trials: int) -> int:
        """For one trial, from its being handed out to its end."""
        designs = {
            "search": search(base, trials=trials, confirm=0, sampler=Random(), stopping=NoStopping()),
            "grid": grid(base, seeds=tuple(range(trials // 4)), stopping=NoStopping()),
        }
        driver, found = new_driver(), []
        with driver.open(designs[kind]) as conductor:
            while isinstance(trial := conductor.next_trial(), Assignment):
                for epoch in range(1, base.training.epochs + 1):
                    driver.report(conductor, trial, epoch)
                conductor.ended(trial.number)
                found.append(len(looks))
                looks.clear()
        assert len(found) == trials
        return max(found[1:])  # with the first all that is known beforehand is put on record

    assert most_looks(48) == most_looks(12)


# Failures


def test_a_trial_whose_process_dies_is_started_again_and_gives_up_without_progress(
    base: TrialConfig, driver: Any
) -> None:
    with driver.open(search(base, stopping=NoStopping())) as conductor:
        for attempt in range(RETRIES + 1):
            trial = conductor.next_trial()
            assert trial.number == 0
            conductor.failed(trial.number, "crashed", f"killed, attempt {attempt}")
        row = conductor.record.row(0)
        assert row.status == "failed"
        assert "killed, attempt 3" in str(row.reason)
        assert conductor.next_trial().number == 1


def test_an_epoch_between_two_crashes_gives_new_patience(base: TrialConfig, driver: Any) -> None:
    with driver.open(search(base, stopping=NoStopping())) as conductor:
        for epoch in range(1, base.training.epochs + 1):
            trial = conductor.next_trial()
            assert (trial.number, trial.known_epoch) == (0, epoch - 1)
            driver.report(conductor, trial, epoch)
            conductor.failed(0, "crashed", "killed")
        assert conductor.record.row(0).status == "finished"


def test_patience_is_remembered_across_drivers(base: TrialConfig, driver: Any) -> None:
    for _ in range(RETRIES + 1):
        with driver.open(search(base)) as conductor:
            assert conductor.next_trial().number == 0
            conductor.failed(0, "crashed", "killed")
    with driver.open(search(base)) as conductor:
        assert conductor.record.row(0).status == "failed"


def test_a_trial_that_diverges_fails_at_once_and_the_study_goes_on(base: TrialConfig, driver: Any) -> None:
    with driver.open(search(base)) as conductor:
        conductor.failed(conductor.next_trial().number, "diverged", "the loss is nan")
        assert conductor.record.row(0).reason == "the loss is nan"
        assert conductor.stopping_reason is None
        assert conductor.next_trial().number == 1


def test_a_fault_of_the_environment_stops_the_study_and_fails_no_trial(base: TrialConfig, driver: Any) -> None:
    with driver.open(search(base)) as conductor:
        trial = conductor.next_trial()
        conductor.failed(trial.number, "environment", "/data: no space left")
        assert conductor.failure == "/data: no space left"
        assert conductor.next_trial() is None
        assert not conductor.is_finished
    results = driver.run(search(base))
    assert results.trials[0].status == "finished"
    assert results.count("failed") == 0


def test_a_study_that_is_stopped_goes_on_later_as_if_it_had_not_been(
    base: TrialConfig, new_driver: Callable[[], Any]
) -> None:
    undisturbed, driver = told(new_driver().run(search(base))), new_driver()
    with driver.open(search(base)) as conductor:
        trial = conductor.next_trial()
        assert driver.report(conductor, trial, 1)
        conductor.stop("Ctrl-C")
        assert not driver.report(conductor, trial, 2)
        conductor.ended(trial.number)
        assert conductor.next_trial() is None
        assert not conductor.is_finished
    assert told(driver.run(search(base))) == undisturbed


# Budgets


def test_trials_that_run_when_the_epochs_are_spent_are_stopped_with_that_reason(base: TrialConfig, driver: Any) -> None:
    results = driver.run(search(base, budget=Budget(trials=None, epochs=30), stopping=NoStopping()), slots=2)
    assert 30 <= results.spent.epochs <= 31
    assert {trial.reason for trial in results.trials if trial.status == "stopped"} == {
        "the budget of 30 epochs is spent"
    }
    assert results.count("running") == results.count("waiting") == 0


def test_hours_are_counted_over_all_drivers(base: TrialConfig, driver: Any) -> None:
    design = search(base, budget=Budget(trials=None, hours=1.0), stopping=NoStopping())
    now = [0.0]
    for start in (0.0, 90_000.0):  # what passes between two drivers is not counted
        now[0] = start
        with driver.open(design, clock=lambda: now[0]) as conductor:
            trial = conductor.next_trial()
            now[0] += 0.6 * 3600
            goes_on = driver.report(conductor, trial, trial.known_epoch + 1)
            assert goes_on == (start == 0.0)
            conductor.close()
    assert trial.number == 0
    with driver.open(design) as conductor:
        assert conductor.spent.hours == pytest.approx(1.2, rel=1e-3)
        assert conductor.next_trial() is None
        assert conductor.is_finished
        assert conductor.record.row(0).reason == "the budget of 1 hours is spent"


def test_a_finished_study_grows_with_its_number_of_trials(base: TrialConfig, new_driver: Callable[[], Any]) -> None:
    small, large = (search(base, confirm=0, budget=Budget(trials=trials)) for trials in (5, 12))
    driver = new_driver()
    driver.run(small)
    assert told(driver.run(large)) == told(new_driver().run(large))
    assert small.fingerprint() == large.fingerprint()


def test_an_ablation_grows_with_its_seeds(base: TrialConfig, driver: Any) -> None:
    driver.run(arms(base, seeds=(0, 1)))
    results = driver.run(arms(base, seeds=(0, 1, 2)))
    assert [(t.arm, t.seed) for t in results.trials[6:]] == [("low", 2), ("middle", 2), ("high", 2)]
    assert [t.group for t in results.trials] == [0, 1, 2] * 3


# Seeds, arms and confirmation


def test_every_setting_of_a_search_is_trained_with_every_seed(base: TrialConfig, driver: Any) -> None:
    results = driver.run(search(base, trials=4, seeds=(0, 1, 7), stopping=NoStopping(), confirm=0))
    assert len(results.settings) == 4
    for setting in results.settings:
        assert [trial.seed for trial in setting.trials] == [0, 1, 7]
        assert len({repr(trial.parameters) for trial in setting.trials}) == 1
    assert results.spent.trials == 4


def test_a_search_begins_with_the_baseline_and_the_points_to_evaluate(base: TrialConfig, driver: Any) -> None:
    points = [{"model.num_kernels": kernels} for kernels in (13, 5)]
    results = driver.run(search(base, trials=5, points_to_evaluate=points, confirm=0))
    assert [trial.parameters["model.num_kernels"] for trial in results.trials[:3]] == [9, 13, 5]
    rates = [trial.parameters["optim.learning_rate"] for trial in results.trials]
    assert rates[0] == 1e-3
    assert len(set(rates)) == 5


def test_a_searched_training_seed_is_the_one_that_trains(base: TrialConfig, driver: Any) -> None:
    space = search(base, parameters={**RATES, "training.seed": Choice(0, 1, 2)}, trials=8, baseline={})
    results = driver.run(space)
    trained = {assignment.number: assignment.config.training.seed for assignment in driver.handed_out}
    assert trained == {trial.number: trial.parameters["training.seed"] for trial in results.trials}
    assert len(set(trained.values())) > 1
    assert all(trial.seed == trained[trial.number] for trial in results.trials)


def test_the_best_settings_are_confirmed_with_fresh_seeds_and_decide_the_winner(base: TrialConfig, driver: Any) -> None:
    lucky = {}

    def score(config: TrialConfig, epoch: int) -> float:
        kernels = config.model.num_kernels
        return 30 + 0.1 * kernels + 0.01 * epoch + (5.0 if kernels == 5 and config.training.seed == 0 else 0.0)

    driver.score = score
    space = search(base, trials=6, confirm=3, confirm_seeds=2, seeds=(0,), stopping=NoStopping())
    results = driver.run(space)
    confirmed = [trial for trial in results.trials if trial.phase == "confirm"]
    lucky = results.ranked[0]
    assert lucky.lead.parameters["model.num_kernels"] == 5
    assert sorted(trial.seed for trial in confirmed) == [1, 1, 1, 2, 2, 2]
    assert {trial.group for trial in confirmed} == {setting.number for setting in results.ranked[:3]}
    assert all(trial.status == "finished" for trial in confirmed)
    best = max((s for s in results.settings if s.confirmed), key=lambda s: (s.confirmed, -s.number))
    assert results.winner == best
    assert results.spent.trials == 6


def test_nothing_is_confirmed_unless_asked_and_never_twice(base: TrialConfig, driver: Any) -> None:
    results = driver.run(search(base, confirm=3), confirm=0)
    assert all(trial.phase == "search" for trial in results.trials)
    for _ in range(2):
        results = driver.run(search(base, confirm=3))
        assert sum(trial.phase == "confirm" for trial in results.trials) == 3


def test_every_arm_is_trained_with_every_seed_to_its_end(base: TrialConfig, driver: Any) -> None:
    results = driver.run(arms(base, seeds=(3, 4)))
    assert [(t.arm, t.seed, t.status) for t in results.trials] == [
        (arm, seed, "finished") for seed in (3, 4) for arm in ("low", "middle", "high")
    ]
    assert [setting.lead.arm for setting in results.settings] == ["low", "middle", "high"]
    assert all(trial.config.optim.learning_rate == trial.parameters["optim.learning_rate"] for trial in results.trials)


def test_a_grid_tries_every_combination(base: TrialConfig, driver: Any) -> None:
    results = driver.run(grid(base, stopping=NoStopping()))
    assert [tuple(t.parameters.values()) for t in results.trials] == [(1e-4, 5), (1e-4, 9), (1e-3, 5), (1e-3, 9)]
    assert results.summary() == "4 finished"


# Constraints and several objectives


def test_settings_beyond_a_constraint_are_refused_before_they_are_trained(base: TrialConfig, driver: Any) -> None:
    limit = Constraint("parameters", at_most=1000)
    space = search(base, constraints=(limit,), trials=6, confirm=0, sampler=Random())
    results = driver.run(space, complexity=size)
    refused = [trial for trial in results.trials if trial.status == "refused"]
    assert refused
    assert {trial.parameters["model.num_kernels"] for trial in refused} == {13}
    assert refused[0].reason == "1,300 parameters, more than 1,000"
    assert not {trial.number for trial in refused} & {assignment.number for assignment in driver.handed_out}
    assert results.spent.trials == len(results.trials) - len(refused) == 6


def test_a_constraint_that_refuses_everything_ends_the_study(
    base: TrialConfig, driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gkm.study.decisions.conductor.MOST_REFUSED", 20)
    space = search(base, constraints=(Constraint("parameters", at_most=1),), sampler=Random())
    with driver.open(space, complexity=lambda config: {"parameters": 2.0}) as conductor:
        assert conductor.next_trial() is None
        assert "widen them" in str(conductor.stopping_reason)
        assert conductor.record.results().count("refused") == 20


def test_of_several_objectives_the_front_is_found_and_each_trial_has_all_values(base: TrialConfig, driver: Any) -> None:
    driver.metrics = speeds
    results = driver.run(search(base, objectives=(PSNR, SPEED), trials=10, stopping=NoStopping(), sampler=TPE()))
    points = {t.number: (t.score, t.value(SPEED.metric)) for t in results.trials}
    assert all(None not in point for point in points.values())
    front = {trial.number for trial in results.front}
    for number, (score, speed) in points.items():
        beaten = any(s >= score and v <= speed and (s, v) != (score, speed) for s, v in points.values())
        assert (number in front) != beaten


def test_conductors_wait_for_running_trials_before_they_confirm(base: TrialConfig, driver: Any) -> None:
    with driver.open(search(base, trials=2, confirm=2, stopping=NoStopping())) as conductor:
        first, second = conductor.next_trial(), conductor.next_trial()
        waiting = conductor.next_trial()
        assert waiting is not None
        assert not isinstance(waiting, Assignment)
        _to_end(driver, conductor, [first, second])
        third = conductor.next_trial()
        assert (third.number, third.config.training.seed) == (2, 1)


def _to_end(driver: Any, conductor: Any, trials: Sequence[Assignment]) -> None:
    for trial in trials:
        for _ in driver.train(conductor, trial):
            pass
