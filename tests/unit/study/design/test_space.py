"""Search spaces draw valid settings and refuse impossible ones when they are made."""

import pickle
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from gkm.config import DataConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.design import load_space
from gkm.study.design.objective import Objective
from gkm.study.design.search import CMAES
from gkm.study.design.space import Choice, Condition, Float, Int, SearchSpace
from gkm.study.design.stopping import ASHA

ROOT = Path(__file__).resolve().parents[4]
BASE = TrialConfig(data=DataConfig(crop_pixels=64), training=TrainingConfig(epochs=9))


def test_every_committed_space_loads_and_draws_valid_settings() -> None:
    files = [path for path in (ROOT / "search_spaces").glob("*.py") if path.name != "__init__.py"]
    assert files
    for path in files:
        space = load_space(path)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        given = None if isinstance(space, SearchSpace) else list(space.settings.values())
        for index in range(20 if given is None else len(given)):
            values = space.suggest(study.ask()) if isinstance(space, SearchSpace) else given[index]
            flat = space.config(values).flat()
            assert {key: flat[key] for key in values} == values


def test_a_conditional_parameter_is_drawn_only_where_its_condition_holds() -> None:
    space = SearchSpace(
        {
            "model.gcm": Choice("fixed", "learned_random"),
            "optim.clip_norm": Condition("model.gcm", ("learned_random",), Float(0.1, 1.0)),
        },
        base=BASE,
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(30)]
    assert {values["model.gcm"] for values in drawn} == {"fixed", "learned_random"}
    assert all(("optim.clip_norm" in values) == (values["model.gcm"] == "learned_random") for values in drawn)


def test_a_space_travels_between_processes_unchanged() -> None:
    space = load_space(ROOT / "search_spaces" / "quick.py")
    assert pickle.loads(pickle.dumps(space)).fingerprint() == space.fingerprint()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"model.widht": Choice(8)}, r"did you mean model\.width"),
        ({"model.max_kernel_size": Int(5, 9)}, None),
        ({"model.max_kernel_size": Choice(5, 8)}, "must be odd"),
        ({"model.num_kernels": Int(0, 4)}, "num_kernels"),
        ({"model.num_scales": Choice(1, 6)}, "needs crops of at least"),
        ({"model.num_scales": Choice(1, 4), "data.crop_pixels": Choice(32, 64)}, "needs crops of at least"),
        ({"model.width": Choice()}, "no options"),
        ({"model.width": Choice(8, 8)}, "names an option twice"),
        ({"model.width": Choice([8, 16])}, r"write Choice\(a, b\)"),
        ({"model.num_kernels": Int(9, 5)}, "9 to 5 is empty; swap its ends"),
        ({"model.num_kernels": Int(5, 9, step=0)}, "step = 0 must be at least 1"),
        ({"optim.learning_rate": Float(1e-2, 1e-4)}, "0.01 to 0.0001 is empty; swap its ends"),
        ({"optim.learning_rate": Float(0, 1e-2, log=True)}, "must begin above 0"),
        ({"optim.clip_norm": Condition("model.gcm", ("fixed",), Float(0.1, 1))}, "must be listed before it"),
        (
            {
                "model.gcm": Choice("fixed", "learned_random"),
                "optim.clip_norm": Condition("model.gcm", ("learned",), Float(0.1, 1)),
            },
            "searched where model.gcm is learned, but that is never so; model.gcm is fixed, learned_random",
        ),
        (
            {"model.gcm": Choice("fixed"), "optim.clip_norm": Condition("model.gcm", (), Float(0.1, 1))},
            "under no value of model.gcm",
        ),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict, reason: str | None) -> None:
    if reason is None:
        SearchSpace(parameters, base=BASE)
        return
    with pytest.raises(InputError, match=reason):
        SearchSpace(parameters, base=BASE)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"trials": 0}, "at least one"),
        ({"first_rung_epochs": 10}, "between 1 and"),
        ({"reduction_factor": 1.0}, "must exceed 1"),
        ({"baseline": {"model.width": 4}}, "not searched"),
        ({"points_to_evaluate": [{"model.width": 4}]}, "points_to_evaluate has model.width = 4, which is not searched"),
        ({"points_to_evaluate": [{}, {"model.num_kernels": 4}]}, "num_kernels = 4, which is not searched"),
    ],
)
def test_an_impossible_budget_is_refused(budget: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        SearchSpace({"model.num_kernels": Choice(3, 5)}, base=BASE, **budget)


def test_the_budget_can_be_replaced_without_changing_the_search() -> None:
    space = load_space(ROOT / "search_spaces" / "quick.py")
    smaller = space.within(Budget(trials=3))
    assert smaller.limits == Budget(trials=3)
    assert smaller.fingerprint() == space.fingerprint()


def test_what_defines_the_search_changes_its_fingerprint() -> None:
    space = SearchSpace({"model.num_kernels": Choice(3, 5)}, base=BASE)
    changes = (
        {"parameters": {"model.num_kernels": Choice(3, 7)}},
        {"stopping": ASHA(2)},
        {"sampler": CMAES()},
        {"seeds": (0, 1)},
        {"objectives": (Objective("val/ssim", "max", ""),)},
        {"reduction_factor": 4.0},
        {"points_to_evaluate": [{"model.num_kernels": 5}]},
    )
    prints = {replace(space, **change).fingerprint() for change in changes}
    assert len({space.fingerprint(), *prints}) == len(changes) + 1


def test_an_option_that_is_possible_only_under_its_condition_is_allowed() -> None:
    parameters = {
        "model.num_scales": Choice(1, 4),
        "data.crop_pixels": Condition("model.num_scales", (1,), Choice(16, 32)),  # too small for four scales
    }
    SearchSpace(parameters, base=BASE)
    with pytest.raises(InputError, match="needs crops of at least"):
        SearchSpace(parameters | {"data.crop_pixels": Condition("model.num_scales", (4,), Choice(16, 32))}, base=BASE)


def test_a_condition_may_depend_on_another_condition() -> None:
    space = SearchSpace(
        {
            "model.num_scales": Choice(1, 2),
            "model.iterations_per_scale": Condition("model.num_scales", (2,), Choice(1, 2)),
            "model.share_iterations": Condition("model.iterations_per_scale", (2,), Choice(True, False)),
        },
        base=BASE,
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        values = space.suggest(study.ask())
        assert ("model.share_iterations" in values) == (values.get("model.iterations_per_scale") == 2)


def test_an_impossible_option_is_found_among_more_combinations_than_are_tried() -> None:
    many = {
        "model.width": Choice(*range(2, 10)),
        "model.num_kernels": Choice(*range(1, 9)),
        "model.iterations_per_scale": Choice(1, 2, 3, 4),
        "model.num_scales": Choice(1, 2, 3),
        "model.recurrent": Choice("conv_lstm", "conv"),
        "model.residual": Choice(True, False),
        "model.share_iterations": Choice(True, False),
    }
    SearchSpace(many, base=BASE)
    with pytest.raises(InputError, match="must be odd"):
        SearchSpace(many | {"model.max_kernel_size": Choice(5, 7, 8)}, base=BASE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seeds": (0, 0)}, "name one twice"),
        ({"seeds": (-1,)}, "no training seed"),
        ({"parameters": {"training.seed": Choice(0, 1)}, "seeds": (0, 1)}, "leave one out"),
        ({"objectives": ()}, "objectives is empty"),
        ({"objectives": (Objective("seconds", "min", "s"),)}, "put the other one second"),
        ({"objectives": (Objective(), Objective("val/ssim", "max", "")), "sampler": CMAES()}, "CMAES searches by one"),
        ({"confirm": -1}, "confirm must be 0 or more"),
    ],
)
def test_an_impossible_search_is_refused(changes: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        SearchSpace(**{"parameters": {"model.num_kernels": Choice(3, 5)}, "base": BASE, **changes})
