"""Who is stopped early, by each rule, on curves small enough to decide by hand."""

import math
import random
from collections.abc import Sequence

import pytest

from gkm.errors import InputError
from gkm.study.design.objective import PSNR, Objective, dominates
from gkm.study.design.specify import parse_sampler, parse_stopping
from gkm.study.design.stopping import ASHA, Hyperband, Median, NoStopping, Patient, Stopping

SPEED = Objective("seconds_per_megapixel", "min", "s/MP")
LOSS = Objective("val/loss", "min", "")
EPOCHS = 9


def stops(rule: Stopping, values: Sequence[float], epoch: int = 1, objective: Objective = PSNR) -> list[int]:
    """The numbers of the trials that stop, where each reports its value at `epoch` after those before it."""
    found, curves = [], {}
    for number, value in enumerate(values):
        curves[number] = {epoch: (value,)}
        if rule.reason(number, epoch, curves, (objective,), EPOCHS):
            found.append(number)
    return found


def test_without_a_rule_nobody_is_stopped() -> None:
    assert stops(NoStopping(), [1, 2, 3, 0]) == []
    assert NoStopping().rungs(EPOCHS) == ()


@pytest.mark.parametrize(
    ("first", "factor", "epochs", "rungs"),
    [(1, 3, 9, (1, 3)), (1, 3, 10, (1, 3, 9)), (2, 2, 9, (2, 4, 8)), (1, 1.5, 6, (1, 2, 3, 5)), (9, 3, 9, ())],
)
def test_rungs_lie_a_factor_apart_and_before_the_last_epoch(
    first: int, factor: float, epochs: int, rungs: tuple[int, ...]
) -> None:
    assert ASHA(first, factor).rungs(epochs) == rungs


def test_asha_by_hand() -> None:
    # Of n values at the rung int(n / 3), at least one, go on; a value goes on if fewer are ahead of it.
    values = [10, 20, 15, 21, 20.5, 20.8, 20.7]
    assert stops(ASHA(1, 3), values) == [2, 4, 6]
    assert stops(ASHA(1, 3), [-value for value in values], objective=LOSS) == [2, 4, 6]
    assert stops(ASHA(1, 3), values, epoch=2) == [2, 4, 6], "the first report after a rung stands for it"
    assert stops(ASHA(3, 3), values) == [], "no rung yet"


def test_asha_gives_the_reason() -> None:
    curves = {0: {1: (30.0,)}, 1: {1: (31.0,)}, 2: {1: (29.0,)}}
    assert ASHA().reason(2, 1, curves, (PSNR,), EPOCHS) == "behind 2 of 2 other trials at epoch 1"


def test_asha_judges_a_trial_once_at_each_rung() -> None:
    curves = {0: {1: (30.0,), 2: (30.1,)}, 1: {1: (29.0,)}, 2: {1: (31.0,)}}
    assert ASHA().reason(0, 2, curves, (PSNR,), EPOCHS) is None  # judged at epoch 1, where it was ahead
    curves[0][4] = (30.2,)
    curves[2][3] = (31.5,)
    assert ASHA().reason(0, 4, curves, (PSNR,), EPOCHS) == "behind 1 of 1 other trials at epoch 3"


def test_asha_decides_the_same_when_it_is_asked_again() -> None:
    curves = {0: {1: (30.0,)}, 1: {1: (31.0,)}, 2: {1: (29.0,)}}
    reasons = {ASHA().reason(2, 1, curves, (PSNR,), EPOCHS) for _ in range(3)}
    assert len(reasons) == 1


def test_of_several_objectives_the_less_dominated_goes_first_then_the_first_objective() -> None:
    curves = {number: {1: point} for number, point in enumerate([(30.0, 1.0), (29.0, 0.5), (28.0, 1.2), (27.0, 0.1)])}
    # 0, 1 and 3 are on the front, in this order of the first objective; 2 is beaten by 0 and 1.
    ahead = {number: ASHA(1, 4.0).reason(number, 1, curves, (PSNR, SPEED), EPOCHS) for number in curves}
    assert ahead == {
        0: None,
        1: "behind 1 of 3 other trials at epoch 1",
        2: "behind 3 of 3 other trials at epoch 1",
        3: "behind 2 of 3 other trials at epoch 1",
    }


def test_of_many_trials_with_several_objectives_each_is_ranked_as_pair_by_pair() -> None:
    dice, objectives = random.Random(0), (PSNR, SPEED)
    points = [(float(dice.randrange(9)), float(dice.choice((0, 1, 2, 3, math.nan)))) for _ in range(400)]
    ranks = [sum(dominates(other, point, objectives) for other in points) for point in points]
    curves = {number: {1: point} for number, point in enumerate(points)}
    for number in range(0, len(points), 7):
        own = (ranks[number], -points[number][0])
        ahead = sum((rank, -point[0]) < own for rank, point in zip(ranks, points, strict=True))
        said = None if ahead < 40 else f"behind {ahead} of 399 other trials at epoch 1"
        assert ASHA(1, 10.0).reason(number, 1, curves, objectives, EPOCHS) == said


def test_hyperband_compares_within_brackets_that_begin_later_and_later() -> None:
    rule = Hyperband(1, 3, brackets=3)
    assert [rule.bracket(27, number) for number in range(4)] == [0, 1, 2, 0]
    assert [rule.rungs(27, number) for number in range(3)] == [(1, 3, 9), (3, 9), (9,)]
    assert [rule.bracket(9, number) for number in range(4)] == [0, 1, 0, 1], "no more brackets than rungs"
    # Trials 0, 2, 4 are in the bracket that is judged at epoch 1; only 2 has a better one before it.
    assert stops(rule, [20, 30, 10, 1, 25, 1]) == [2]
    assert stops(rule, [20, 30, 10, 1, 25, 1], epoch=3) == [2, 3, 5]


def test_median_stops_what_is_below_the_middle_of_the_others() -> None:
    rule = Median(warmup_epochs=1, startup_trials=4)
    assert stops(rule, [10, 11, 12, 10.5, 11.5, 9], epoch=2) == [3, 5]
    assert stops(rule, [10, 11, 12, 10.5, 11.5, 9], epoch=1) == [], "still warming up"
    assert stops(rule, [-10, -11, -12, -10.5, -11.5, -9], epoch=2, objective=LOSS) == [3, 5]
    losses = {number: {2: (loss,)} for number, loss in enumerate((0.3, 0.1, 0.1, 0.2))}
    assert rule.reason(0, 2, losses, (LOSS,), EPOCHS) == "0.3000 at epoch 2, worse than the median of 3 others"


def test_patient_stops_what_has_not_improved() -> None:
    rule, better = Patient(epochs=2), {1: (30.0,), 2: (30.5,), 3: (30.6,)}
    flat = {1: (30.0,), 2: (30.5,), 3: (30.5,), 4: (30.5,)}
    assert rule.reason(0, 3, {0: better}, (PSNR,), EPOCHS) is None
    assert rule.reason(0, 3, {0: flat}, (PSNR,), EPOCHS) is None, "it improved within two epochs"
    assert rule.reason(0, 4, {0: flat}, (PSNR,), EPOCHS) == "no improvement in 2 epochs, at epoch 4"
    assert Patient(epochs=2, least=0.7).reason(0, 3, {0: better}, (PSNR,), EPOCHS) is not None


def test_patient_with_an_inner_rule_stops_only_where_both_say_so() -> None:
    rule = Patient(epochs=2, inner=Median(startup_trials=2))
    flat = dict.fromkeys((1, 2, 3, 4), (30.0,))
    for other, stopped in ((29.0, False), (31.0, True)):
        curves = {0: flat, 1: {4: (other,)}}
        assert (rule.reason(0, 4, curves, (PSNR,), EPOCHS) is not None) == stopped


@pytest.mark.parametrize("rule", [Median(1, 2), Patient(1)])
def test_rules_for_one_objective_say_so(rule: Stopping) -> None:
    curves = {0: {2: (30.0, 1.0)}, 1: {2: (30.0, 1.0)}}
    with pytest.raises(InputError, match="knows one objective; use ASHA"):
        rule.reason(0, 2, curves, (PSNR, SPEED), EPOCHS)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("none", NoStopping()),
        ("asha", ASHA()),
        ("ASHA:first_rung_epochs=3,reduction_factor=2.5", ASHA(3, 2.5)),
        ("hyperband:brackets=2", Hyperband(brackets=2)),
        ("median: startup_trials=5", Median(startup_trials=5)),
        ("patient:epochs=3,least=0.1,inner=asha", Patient(3, 0.1, ASHA())),
    ],
)
def test_rules_are_named_in_texts(text: str, rule: Stopping) -> None:
    assert parse_stopping(text) == rule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("aSHA2", "there is no stopping rule 'aSHA2'; there are none, asha, hyperband, median, patient"),
        ("asha:rungs=3", "has no setting 'rungs'; it has first_rung_epochs, reduction_factor"),
        ("none:x=1", "it has none"),
        ("asha:reduction_factor", "write asha:key=value"),
        ("asha:first_rung_epochs=x", "first_rung_epochs = x must be a whole number"),
        ("asha:first_rung_epochs=1,first_rung_epochs=2", "sets first_rung_epochs twice"),
        ("asha:first_rung_epochs=0", "must be at least 1"),
        ("patient", "needs epochs"),
        ("patient:epochs=2,inner=patient", "no inner stopping rule 'patient'"),
    ],
)
def test_texts_that_name_no_rule_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_stopping(text)


def test_samplers_are_named_in_texts() -> None:
    assert parse_sampler("tpe:startup_trials=5").startup_trials == 5  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="there is no sampler 'bohb'; there are tpe, gp, random, cmaes, nsga2"):
        parse_sampler("bohb")
