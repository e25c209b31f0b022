"""What a study will take: counts that follow from the design, and figures that follow from a device's rate."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.data.dataset.dataset import Dataset
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.objective import PSNR, Constraint, Objective
from gkm.study.design.parameters import Choice, Condition, Float, Int
from gkm.study.design.space import SearchSpace
from gkm.study.design.stopping import ASHA, Hyperband, Median, NoStopping, Patient
from gkm.study.planning.course import _rehearse, expected_course
from gkm.study.planning.plan import StudyPlan, make_plan, plan_for
from gkm.study.planning.prices import load_prices
from gkm.study.planning.rates import DeviceRate
from gkm.study.planning.workload import multiply_adds_per_pixel, sampled_settings
from tests.unit.study.manifests import manifest

SMALL = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2)
BASE = TrialConfig(
    model=SMALL,
    data=DataConfig(crop_pixels=32, batch_size=4, crops_per_photo=2),
    training=TrainingConfig(epochs=9),
)
RATE = DeviceRate("test", training=1e9, inference=2e9, scoring=1.0, epoch_seconds=0.5)
SPACE = SearchSpace({"optim.learning_rate": Float(1e-4, 1e-2, log=True)}, base=BASE, trials=3)


def _plan(design: SearchSpace | Grid | Arms, devices: int = 1, confirm: int = 0) -> StudyPlan:
    return make_plan(design, manifest(), rates=RATE, devices=devices, confirm=confirm)


def test_the_first_line_says_how_many_trials_and_epochs() -> None:
    lines = _plan(SPACE).lines()
    assert lines[0] == "plan: 3 trials of at most 9 epochs; trials that are behind stop at epoch 1, 3"
    assert _plan(replace(SPACE, stopping=NoStopping())).lines()[0].endswith("none is stopped early")
    assert all(len(line) < 200 for line in lines)


def test_an_ablation_trains_every_arm_with_every_seed_to_its_end() -> None:
    plan = _plan(Arms({"a": {}, "b": {"model.num_kernels": 2}}, "a", base=BASE, seeds=(0, 1, 2)), devices=4, confirm=3)
    assert (plan.trials, plan.confirmed, plan.trial_epochs, plan.most_trial_epochs) == (6, 0, 54, 54)
    assert plan.course.longest == 18


def test_multiply_adds_are_three_times_forward_for_a_step_and_once_for_a_photograph() -> None:
    plan = _plan(replace(SPACE, stopping=NoStopping(), trials=2))
    each = multiply_adds_per_pixel(SMALL)
    steps = 9 * 6 * 3 * each * 4 * 32**2
    validation = 9 * 3 * each * 300 * 451
    assert plan.figures()["multiply_adds"] == pytest.approx(2 * (steps + validation))
    seconds = steps / 1e9 + validation / 2e9 + 9 * (3 * 0.1353 + 0.5)
    assert plan.device_hours == pytest.approx(2 * seconds / 3600)


def test_rare_validation_is_counted_as_such() -> None:
    rare = BASE.with_values({"training.validate_every": 4})
    often, seldom = (_plan(replace(SPACE, base=base, stopping=NoStopping())) for base in (BASE, rare))
    validation = often.multiply_adds_per_epoch - 6 * 3 * multiply_adds_per_pixel(SMALL) * 4 * 32**2
    assert often.multiply_adds_per_epoch - seldom.multiply_adds_per_epoch == pytest.approx(validation * 6 / 9)


def test_confirmation_comes_on_top() -> None:
    plan = _plan(replace(SPACE, confirm_seeds=2), devices=2, confirm=3)
    assert plan.confirmed == 6
    assert plan.most_trial_epochs == (3 + 6) * 9
    assert plan.figures()["trials"] == 9
    assert _plan(replace(SPACE, trials=1), confirm=3).confirmed == 0
    assert _plan(replace(SPACE, objectives=(PSNR, Objective("parameters", "min", ""))), confirm=3).confirmed == 0


@pytest.mark.parametrize("rule", [ASHA(1, 3), ASHA(2, 2.5), Hyperband(1, 3, 3)])
def test_the_rehearsal_decides_as_the_rule_does(rule: ASHA | Hyperband) -> None:
    ends, draw, curves = _rehearse(rule, 40, 27, 1, random.Random(5)), random.Random(5), {}
    for number, end in enumerate(ends):
        quality, curves[number] = draw.gauss(0, 1), {}
        for rung in rule.rungs(27, number):
            curves[number][rung] = (quality + draw.gauss(0, 0.5),)
            stops = rule.reason(number, rung, curves, (PSNR,), 27) is not None
            assert stops == (rung == end)
            if stops:
                break


def test_successive_halving_keeps_about_a_third_and_the_late_rungs_more() -> None:
    course = expected_course(ASHA(1, 3), 64, 27, 1, 4)
    alive = [stage.trials for stage in course.stages]
    assert [stage.last_epoch for stage in course.stages] == [1, 3, 9, 27]
    assert alive[0] == 64
    assert alive[1] == pytest.approx(64 / 3, rel=0.15)
    assert course.trial_epochs == pytest.approx(sum(n * e for n, e in zip(alive, (1, 2, 6, 18), strict=True)))
    assert course.trial_epochs / 4 < course.longest < course.trial_epochs / 4 + 27
    large = expected_course(ASHA(1, 3), 6400, 27, 1, 4)
    assert large.trial_epochs == pytest.approx(100 * course.trial_epochs, rel=0.3)


def test_rungs_wait_for_the_next_validation() -> None:
    assert [s.last_epoch for s in expected_course(ASHA(1, 3), 30, 27, 5, 1).stages] == [5, 10, 27]


@pytest.mark.parametrize("rule", [Median(), Patient(2), Patient(2, inner=ASHA())])
def test_rules_that_need_curves_are_assumed_to_stop_nobody(rule: Median | Patient) -> None:
    plan = _plan(replace(SPACE, stopping=rule))
    assert plan.trial_epochs == 27
    assert "at most 27" in "\n".join(plan.lines())


def test_without_a_number_of_trials_the_budget_says_how_many() -> None:
    plan = _plan(SPACE.within(Budget(trials=None, epochs=400)))
    assert 400 < plan.trial_epochs < 425
    assert "400 epochs in all: ends the study" in "\n".join(plan.lines())
    assert "ends the study" not in "\n".join(_plan(SPACE.within(Budget(trials=3, epochs=400))).lines())


@pytest.mark.slow
def test_settings_are_sampled_as_they_may_be_drawn_and_always_the_same() -> None:
    space = SearchSpace(
        {
            "model.num_kernels": Int(1, 9, step=2),
            "model.gcm": Choice("fixed", "learned_random"),
            "model.max_kernel_size": Condition("model.gcm", ("fixed",), Choice(3, 5, 7)),
            "optim.learning_rate": Float(1e-4, 1e-2),
        },
        base=BASE,
    )
    configs = sampled_settings(space)
    assert configs == sampled_settings(space)
    assert len({config.model for config in configs}) > 3
    assert all(config.model.max_kernel_size == 5 for config in configs if config.model.gcm != "fixed")
    wide = Choice(2, 4, 32)
    limited = SearchSpace({"model.width": wide}, base=BASE, constraints=(Constraint("parameters", 40_000),))
    assert {config.model.width for config in sampled_settings(limited)} == {2, 4}


def test_a_cluster_without_a_price_costs_an_unknown_sum(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[4] / "cluster/prices.json"
    known = plan_for(SPACE, Dataset("d", manifest()), slots=2, cluster="aws-g5-spot", prices_path=shipped)
    assert known.rates.name == "a10g"
    assert known.figures()["cost"] == pytest.approx(known.wall_hours * 2.24)
    unknown = plan_for(SPACE, Dataset("d", manifest()), slots=2, cluster="kuberay-gpu-cluster", prices_path=shipped)
    assert "cost" not in unknown.figures()
    assert "unknown: kuberay-gpu-cluster.yaml has no price" in "\n".join(unknown.lines())
    assert load_prices(shipped).cluster("local").per_hour(1) is None


def test_a_data_set_without_validation_photographs_is_refused() -> None:
    whole = manifest()
    lame = whole.model_copy(update={"splits": {"train": whole.splits["train"]}})
    with pytest.raises(InputError, match="has no validation photographs"):
        plan_for(SPACE, Dataset("d", lame), slots=1, device="cpu")


@pytest.mark.slow
def test_this_machine_is_measured_with_the_training_loop_itself() -> None:
    plan = plan_for(SPACE, Dataset("d", manifest()), slots=1)
    assert plan.rates.measured
    assert plan.rates.training > 1e6
    assert 0 < plan.rates.epoch_seconds < 60
    assert "measured here, 1 at a time, one thread each" in "\n".join(plan.lines())


def test_trials_that_share_a_gpu_are_planned_as_if_they_took_turns() -> None:
    eight = replace(SPACE, stopping=NoStopping(), trials=8)
    price = load_prices(Path(__file__).parents[4] / "cluster/prices.json").cluster("aws-g5-spot")
    rate = DeviceRate("test", training=1e9, inference=2e9, scoring=0.0)
    alone, shared = (
        make_plan(eight, manifest(), rates=rate.shared(each), devices=each, price=price, trials_per_gpu=each)
        for each in (1, 4)
    )
    assert (alone.slots, shared.slots) == (1, 4)
    assert (alone.devices, shared.devices) == (1, 1)
    assert shared.seconds_per_epoch == pytest.approx(4 * alone.seconds_per_epoch)
    assert shared.device_hours == pytest.approx(alone.device_hours)
    assert shared.wall_hours == pytest.approx(alone.wall_hours)
    assert shared.cost == pytest.approx(alone.cost)
    assert [line for line in alone.lines() if "sharing" in line] == []
    (line,) = (line for line in shared.lines() if "sharing" in line)
    assert line.endswith("4 trials have a GPU together: assumed to take turns, which gains nothing")
