"""Samplers draw what they would have drawn, whatever was interrupted before."""

from typing import Any

import optuna
import pytest

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.objective import PSNR, Objective
from gkm.study.design.search import CMAES, GP, NSGA2, TPE, Random, Sampler, check_sampler, sampler_for
from gkm.study.design.space import Choice, Condition, Float, Int, SearchSpace
from gkm.study.design.stopping import NoStopping

SAMPLERS = [TPE(startup_trials=3), GP(startup_trials=3), Random(), CMAES(), NSGA2(population=4)]
PARAMETERS = {
    "model.gcm": Choice("fixed", "learned_random"),
    "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
    "optim.learning_rate": Float(1e-4, 1e-2, log=True),
    "model.num_kernels": Int(3, 11, step=2),
}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_every_sampler_draws_different_valid_settings(sampler: Sampler, base: TrialConfig, driver: Any) -> None:
    short = base.with_values({"training.epochs": 1})
    space = SearchSpace(PARAMETERS, base=short, trials=9, sampler=sampler, stopping=NoStopping(), confirm=0)
    results = driver.run(space)
    assert results.summary() == "9 finished"
    assert len({repr(trial.parameters) for trial in results.trials}) >= 8
    for trial in results.trials:
        assert ("optim.clip_norm" in trial.parameters) == (trial.parameters["model.gcm"] == "learned_random")


@pytest.mark.parametrize("sampler", [TPE(startup_trials=3), GP(startup_trials=3)], ids=["TPE", "GP"])
def test_informed_samplers_find_better_settings_than_their_first_draws(
    sampler: Sampler, base: TrialConfig, driver: Any
) -> None:
    short = base.with_values({"training.epochs": 1})
    parameters = {"optim.learning_rate": Float(1e-6, 1.0, log=True)}
    space = SearchSpace(parameters, base=short, trials=16, sampler=sampler, stopping=NoStopping(), confirm=0)
    scores = [trial.score for trial in driver.run(space).trials]
    assert sum(scores[-5:]) / 5 > sum(scores[:3]) / 3


def _draw(seed: int, number: int, parameter: str = "") -> float:
    study = optuna.create_study(sampler=sampler_for(Random(), seed, number, parameter))
    return study.ask().suggest_float("x", 0, 1)


def test_a_draw_depends_on_the_studys_seed_the_trials_number_and_the_parameter_alone() -> None:
    assert _draw(0, 5) == _draw(0, 5)
    others = [_draw(0, 5), _draw(1, 5), _draw(0, 6), _draw(0, 5, "x"), _draw(0, 5, "y")]
    assert len(set(others)) == 5


def test_a_sampler_for_one_objective_is_refused_for_several() -> None:
    several = (PSNR, Objective("seconds", "min", "s"))
    for sampler in SAMPLERS:
        if sampler.several_objectives:
            check_sampler(sampler, several)
    with pytest.raises(InputError, match="CMAES searches by one objective; use TPE, GP, NSGA2 or Random"):
        check_sampler(CMAES(), several)
