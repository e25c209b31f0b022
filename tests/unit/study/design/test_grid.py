"""Ablations: what they try, and what makes one refused."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.space import Choice, Float

ARMS: dict[str, dict[str, Any]] = {
    "paper": {},
    "no residual": {"model.residual": False},
    "few": {"model.num_kernels": 5},
}


def test_a_grid_has_every_combination_in_the_order_of_its_options(base: TrialConfig) -> None:
    grid = Grid({"model.num_kernels": Choice(3, 5), "model.residual": Choice(True, False)}, base=base)
    assert list(grid.settings.values()) == [
        {"model.num_kernels": kernels, "model.residual": residual} for kernels in (3, 5) for residual in (True, False)
    ]
    assert grid.limits.trials == 4
    assert next(iter(grid.settings)) == "model.num_kernels = 3, model.residual = True"
    assert grid.config({"model.num_kernels": 3}).model.num_kernels == 3


def test_a_grid_over_training_seeds_is_not_repeated_with_others(base: TrialConfig) -> None:
    assert Grid({"training.seed": Choice(0, 1, 2)}, base=base).training_seeds == (base.training.seed,)
    with pytest.raises(InputError, match="leave one out"):
        Grid({"training.seed": Choice(0, 1, 2)}, base=base, seeds=(0, 1))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "names no parameter"),
        ({"optim.learning_rate": Float(1e-4, 1e-3)}, "must be a Choice of options"),
        ({"model.max_kernel_size": Choice(5, 8)}, "must be odd"),
        ({"model.num_kernels": Choice(*range(1, 120)), "model.width": Choice(*range(2, 120))}, "more than 10000"),
    ],
)
def test_impossible_grids_are_refused(base: TrialConfig, parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Grid(parameters, base=base)


def test_arms_are_the_base_with_their_changes(base: TrialConfig) -> None:
    ablation = Arms(ARMS, "paper", base=base)
    assert ablation.config(ablation.settings["few"]).model.num_kernels == 5
    assert ablation.describe()["paper"] == "as the base"
    assert ablation.training_seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("arms", "reference", "reason"),
    [
        ({"paper": {}}, "paper", "at least two arms"),
        (ARMS, "none", "the reference 'none' is no arm; there are paper, no residual, few"),
        ({**ARMS, "same": {"model.residual": True}}, "paper", "the arms paper and same are the same settings"),
        ({**ARMS, "odd": {"model.max_kernel_size": 8}}, "paper", "arm odd: .*must be odd"),
    ],
)
def test_impossible_ablations_are_refused(base: TrialConfig, arms: Any, reference: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Arms(arms, reference, base=base)


def test_ablations_travel_between_processes_and_grow_without_becoming_others(base: TrialConfig) -> None:
    for design in (Arms(ARMS, "paper", base=base), Grid({"model.num_kernels": Choice(3, 5)}, base=base)):
        assert pickle.loads(pickle.dumps(design)) == design
        grown = replace(design, seeds=(0, 1, 2, 3)).within(Budget(trials=None, epochs=100))
        assert grown.fingerprint() == design.fingerprint()
        assert replace(design, base=base.with_values({"model.width": 4})).fingerprint() != design.fingerprint()
