"""Recorded curves played against other rules: the same decisions as in a real study, and honest figures."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gkm.config import TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.search import Random
from gkm.study.design.space import Choice, Condition, Float, Int, SearchSpace
from gkm.study.design.stopping import ASHA, NoStopping
from gkm.study.insight.curves import Curves
from gkm.study.insight.replay import guess_space, replay, replay_study

EPOCHS = 9
BASE = TrialConfig(training=TrainingConfig(epochs=EPOCHS))
RATE = "optim.learning_rate"


def space(**changes: Any) -> SearchSpace:
    parameters = {RATE: Float(1e-5, 1e-1, log=True), "model.num_kernels": Int(3, 33, step=2)}
    return SearchSpace(**{"parameters": parameters, "base": BASE, "trials": 20, "confirm": 0, **changes})


def surface(values: Any, random: np.random.Generator) -> tuple[Any, Any]:
    """Best at a rate of 1e-3 and 21 kernels; more kernels take longer."""
    top = 32 - (math.log10(values[RATE]) + 3) ** 2 - ((values["model.num_kernels"] - 21) / 18) ** 2
    epochs = np.arange(1, EPOCHS + 1)
    return top - 8 * np.exp(-epochs / 3), np.full(EPOCHS, 3600.0 + 10 * values["model.num_kernels"])


Table = Callable[[Sequence[tuple[float, Sequence[float]]]], Curves]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Makes curves of settings that differ in their learning rate; an epoch takes an hour."""

    def make(rows: Sequence[tuple[float, Sequence[float]]]) -> Curves:
        text = [f"{RATE},seed,epoch,val/psnr,seconds"]
        for rate, curve in rows:
            text += [f"{rate},0,{epoch},{value},{epoch * 3600}" for epoch, value in enumerate(curve, start=1)]
        (tmp_path / "curves.csv").write_text("\n".join(text))
        return Curves.from_table(tmp_path / "curves.csv")

    return make


def base(epochs: int) -> TrialConfig:
    return TrialConfig(training=TrainingConfig(epochs=epochs))


def test_a_replay_by_hand(table: Table) -> None:
    curves = table([(1e-4, [10, 11, 20]), (1e-3, [12, 13, 14]), (1e-2, [11, 30, 31])])
    grid = Grid({RATE: Choice(1e-4, 1e-3, 1e-2)}, base=base(3), stopping=ASHA(1, 3))
    played = replay(curves, grid, slots=1)
    # The first goes on alone; the second leads at epoch 1; the third, the best in the end, is behind one of two others.
    assert [trial.status for trial in played.results.trials] == ["finished", "finished", "stopped"]
    assert (played.epochs, played.hours) == (7, 7.0)
    assert (played.value, played.best, played.regret) == (20.0, 31.0, 11.0)
    assert [(step.epochs, step.value) for step in played.trajectory] == [(1, 20.0)]
    assert played.value_after(0) is None
    assert played.value_after(7) == 20.0
    assert replay(curves, replace(grid, stopping=NoStopping()), slots=1).regret == 0.0


def test_slots_share_the_work_and_take_the_recorded_time(table: Table) -> None:
    curves = table([(10.0**-place, [20, 21, 22]) for place in range(1, 5)])
    grid = Grid({RATE: Choice(*(10.0**-place for place in range(1, 5)))}, base=base(3))
    assert [replay(curves, grid, slots=slots).hours for slots in (1, 2, 3, 4)] == [12.0, 6.0, 6.0, 3.0]
    assert {replay(curves, grid, slots=slots).epochs for slots in (1, 2, 3, 4)} == {12}


def test_the_same_seed_plays_the_same_and_another_another() -> None:
    curves = Curves.from_surface(space(), surface, count=200)
    plays = [replay(curves, space(), seed=seed) for seed in (1, 1, 2)]
    assert plays[0].results.trials == plays[1].results.trials
    assert plays[0] == plays[1]
    assert plays[0].results.trials != plays[2].results.trials


def test_a_conductor_decides_as_in_a_study_that_trains(driver: Any) -> None:
    curves = Curves.from_surface(space(), surface, count=300, seeds=1)

    def score(config: TrialConfig, epoch: int) -> float:
        values = {RATE: config.optim.learning_rate, "model.num_kernels": config.model.num_kernels}
        return float(curves.run(curves.nearest(values), 0).metrics["val/psnr"][epoch - 1])

    driver.score = score
    trained = driver.run(space()).trials
    played = replay(curves, space(), slots=1, seed=3, repeats=True).results.trials
    assert [(t.number, t.status, t.reason, t.parameters, t.score) for t in played] == [
        (t.number, t.status, t.reason, t.parameters, t.score) for t in trained
    ]


def test_no_setting_is_tried_twice_unless_repeats_are_allowed(table: Table) -> None:
    narrow = space(parameters={RATE: Float(1e-5, 1e-1, log=True)}, stopping=NoStopping(), trials=12)
    curves = table(
        [(10**-place, [20.0 + place] * EPOCHS) for place in (1.0, 1.5, 2.0, 2.5, 3, 3.2, 3.4, 3.6, 3.8, 4.0)]
    )
    played = replay(curves, narrow, seed=1)
    assert len({trial.score for trial in played.results.trials[:10]}) == 10
    assert played.regret == 0
    repeated = replay(curves, narrow, seed=1, repeats=True)
    assert len({trial.score for trial in repeated.results.trials[:10]}) < 10


def test_seeds_of_one_setting_are_curves_of_one_setting() -> None:
    curves = Curves.from_surface(space(), surface, count=50, seeds=3)
    played = replay(curves, space(trials=5, seeds=(0, 1, 2), stopping=NoStopping()), repeats=False)
    assert len(played.results.settings) == 5
    assert all(len({trial.score for trial in setting.trials}) == 1 for setting in played.results.settings)


def test_budgets_in_simulated_hours_end_a_replay() -> None:
    curves = Curves.from_surface(space(), surface, count=50)
    played = replay(curves, space(budget=Budget(trials=None, hours=20.0), stopping=NoStopping()), slots=2)
    assert 20 <= played.hours < 22
    assert "the budget of 20 hours is spent" in {trial.reason for trial in played.results.trials}


def test_a_design_longer_than_the_curves_is_refused() -> None:
    curves = Curves.from_surface(space(), surface, count=10)
    with pytest.raises(InputError, match="trains for 10 epochs, but the curves end at 9"):
        replay(curves, space(base=base(10)))


# Recorded studies


def test_recorded_studies_are_played_in_their_order_first_then_shuffled(driver: Any) -> None:
    recorded = driver.run(space(trials=10, stopping=NoStopping()))
    rows = replay_study(recorded, stopping=ASHA(), seeds=range(4), slots=1)
    assert [row.name for row in rows] == ["as recorded", "seed 0", "seed 1", "seed 2", "seed 3"]
    assert (rows[0].epochs, rows[0].stopped, rows[0].regret) == (90, 0, 0.0)
    assert all(row.epochs < 90 and row.stopped for row in rows[1:])
    assert all(row.trials == 10 and row.unknown == 0 for row in rows)
    assert len({row.epochs for row in rows[1:]}) > 1


def test_the_rule_that_was_used_gives_what_was_recorded(driver: Any) -> None:
    recorded = driver.run(space(trials=10, stopping=ASHA()))
    row = replay_study(recorded, stopping=ASHA(), seeds=[0], slots=1)[1]
    assert (row.epochs, row.stopped, row.unknown) == (recorded.spent.epochs, recorded.count("stopped"), 0)


def test_trials_that_go_on_beyond_what_is_known_are_counted_and_held_flat(driver: Any) -> None:
    recorded = driver.run(space(trials=10, stopping=ASHA()))
    row = replay_study(recorded, stopping=None, seeds=[0])[1]
    assert row.unknown == recorded.count("stopped") > 0
    assert row.epochs == 90
    curves = Curves.from_study(recorded)
    unknown = [place for place in range(len(curves.settings)) if not curves.is_whole(place)]
    assert len(unknown) == row.unknown


def test_a_sampler_draws_among_the_recorded_settings_with_the_same_epochs(driver: Any) -> None:
    recorded = driver.run(space(trials=15, stopping=ASHA()))
    rows = replay_study(recorded, stopping=ASHA(), sampler=Random(), seeds=range(3))
    assert all(row.epochs <= rows[0].epochs + 2 and row.trials <= 15 for row in rows)
    assert len({(row.epochs, row.value) for row in rows[1:]}) > 1


def test_ablations_and_conditional_searches_can_be_played(driver: Any) -> None:
    arms = Arms({"few": {"model.num_kernels": 3}, "many": {}, "more": {"model.num_kernels": 33}}, "many", base=BASE)
    row = replay_study(driver.run(arms), stopping=ASHA(), seeds=[0])[1]
    assert (row.trials, row.regret) == (9, 0.0)


def test_the_space_of_a_recorded_study_is_guessed_from_its_settings() -> None:
    conditional = SearchSpace(
        {
            "model.gcm": Choice("fixed", "learned_random", "learned_gaussian"),
            "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
            RATE: Float(1e-5, 1e-1, log=True),
            "model.max_kernel_size": Int(5, 21, step=2),
            "model.num_scales": Choice(1, 3),
        },
        base=BASE,
    )
    curves = Curves.from_surface(conditional, lambda values, random: (np.ones(EPOCHS), np.ones(EPOCHS)), count=60)
    guessed = guess_space(curves)
    assert set(guessed.parameters) == set(conditional.parameters)
    assert guessed.parameters["model.max_kernel_size"] == Int(5, 21, step=2)
    assert guessed.parameters["model.num_scales"] == Choice(1, 3)
    condition = guessed.parameters["optim.clip_norm"]
    assert isinstance(condition, Condition)
    assert (condition.on, condition.equals) == ("model.gcm", ("learned_random",))
    rate = guessed.parameters[RATE]
    assert isinstance(rate, Float)
    assert rate.log
    assert replay(curves, guessed).results.count("failed") == 0


# Tables


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_tables_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    conditional = space(
        parameters={
            "model.gcm": Choice("fixed", "learned_random"),
            "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
            "model.residual": Choice(True, False),
            **space().parameters,
        }
    )
    curves = Curves.from_surface(conditional, surface, count=20, seeds=2)
    curves.write(tmp_path / name)
    read = Curves.from_table(tmp_path / name)
    assert read.settings == curves.settings
    assert (read.epochs, read.best) == (curves.epochs, curves.best)
    assert [read.value(place) for place in range(20)] == pytest.approx([curves.value(place) for place in range(20)])
    assert replay(read, conditional).results.trials == replay(curves, conditional).results.trials


def test_distances_are_scaled_and_know_what_is_absent() -> None:
    conditional = space(
        parameters={
            "model.gcm": Choice("fixed", "learned_random"),
            "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
            RATE: Float(1e-5, 1e-1, log=True),
        }
    )
    curves = Curves.from_surface(conditional, lambda values, random: (np.ones(EPOCHS), np.ones(EPOCHS)), count=100)
    for place, settings in enumerate(curves.settings):
        assert curves.nearest(settings) == place
    near = curves.nearest({"model.gcm": "fixed", RATE: 1e-3})
    rates = [abs(math.log10(one[RATE]) + 3) for one in curves.settings if one["model.gcm"] == "fixed"]
    assert abs(math.log10(curves.settings[near][RATE]) + 3) == min(rates)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("none.csv", None, "there is no such table"),
        ("table.csv", f"{RATE},epoch\n1e-3,1\n", "has no column val/psnr"),
        ("table.csv", f"{RATE},epoch,val/psnr\n", "there are none"),
        ("table.parquet", "nonsense", "is no table that can be read"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=reason):
        Curves.from_table(tmp_path / name)
