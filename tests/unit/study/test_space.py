"""Search spaces draw valid settings and refuse impossible ones when they are made."""

import pickle
from pathlib import Path

import optuna
import pytest

from gkm.config import DataConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.space import Choice, Condition, Float, Int, SearchSpace, load_space

ROOT = Path(__file__).resolve().parents[3]
BASE = TrialConfig(data=DataConfig(crop_pixels=64), training=TrainingConfig(epochs=9))


def test_every_committed_space_loads_and_draws_valid_settings() -> None:
    files = [path for path in (ROOT / "search_spaces").glob("*.py") if path.name != "__init__.py"]
    assert files
    for path in files:
        space = load_space(path)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(20):
            values = space.suggest(study.ask())
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
        ({"model.num_scales": Choice(1, 6)}, "fewer than 8"),
        ({"model.num_scales": Choice(1, 4), "data.crop_pixels": Choice(32, 64)}, "fewer than 8"),
        ({"model.width": Choice()}, "no options"),
        ({"optim.clip_norm": Condition("model.gcm", ("fixed",), Float(0.1, 1))}, "must be listed before it"),
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
    ],
)
def test_an_impossible_budget_is_refused(budget: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        SearchSpace({"model.num_kernels": Choice(3, 5)}, base=BASE, **budget)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SPACE = 3", "defines no SPACE"),
        ("import nothing_like_this", "ModuleNotFoundError"),
        ("from gkm.study.space import *\nSPACE = SearchSpace({'model.x': Choice(1)})", r"model\.x is no setting"),
    ],
)
def test_a_file_that_is_no_space_is_named_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"mine\.py: .*{reason}"):
        load_space(path)
    with pytest.raises(InputError, match="there is no such search space file"):
        load_space(tmp_path / "none.py")


def test_the_number_of_trials_can_be_replaced_without_changing_the_search(tmp_path: Path) -> None:
    path = ROOT / "search_spaces" / "quick.py"
    assert load_space(path, trials=3).trials == 3
    assert load_space(path, trials=3).fingerprint() == load_space(path).fingerprint()
