"""What samplers learn from trials that were stopped early."""

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from gkm.config import TrialConfig
from gkm.study.design.levelling import _View, gains
from gkm.study.design.search import GP, Random, Sampler
from gkm.study.design.space import Float, SearchSpace
from gkm.study.design.stopping import ASHA


def test_gains_are_sums_of_medians_from_end_to_end() -> None:
    curves = {
        0: {1: 10.0, 3: 14.0, 9: 20.0},
        1: {1: 12.0, 3: 13.0},
        2: {1: 5.0, 3: 8.0, 9: 9.0},
        3: {1: 4.0},
    }
    # From 1 to 3 the first three gained 4, 1 and 3; from 3 to 9 two of them gained 6 and 1.
    assert gains(curves) == {9: 0.0, 3: 3.5, 1: 6.5}
    assert gains({}) == {}


def test_stopped_trials_are_seen_finished_at_the_level_of_those_that_are() -> None:
    study = optuna.create_study(direction="maximize")
    for values, state in (([10.0, 20.0], TrialState.COMPLETE), ([8.0], TrialState.PRUNED), ([], TrialState.PRUNED)):
        reported = dict(enumerate(values, start=1))
        end = values[-1] if values else None
        study.add_trial(create_trial(state=state, value=end, intermediate_values=reported))
    seen = _View(study)._get_trials(states=(TrialState.COMPLETE,))
    assert [(trial.number, trial.value) for trial in seen] == [(0, 20.0), (1, 18.0)]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "PRUNED"]


@pytest.mark.parametrize("sampler", [GP(startup_trials=4), Random()], ids=["GP", "Random"])
def test_a_gaussian_process_draws_near_the_best_though_most_trials_are_stopped(
    sampler: Sampler, base: TrialConfig, driver: Any
) -> None:
    parameters = {"optim.learning_rate": Float(1e-6, 1.0, log=True)}
    space = SearchSpace(parameters, base=base, trials=14, sampler=sampler, stopping=ASHA(), confirm=0)
    results = driver.run(space)
    assert results.count("finished") < 4 or isinstance(sampler, GP)
    near = [trial for trial in results.trials[4:] if 1e-4 < trial.parameters["optim.learning_rate"] < 1e-2]
    assert (len(near) > 5) == isinstance(sampler, GP)
