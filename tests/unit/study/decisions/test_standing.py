"""Where a study stands: what is done, spent and left, as trials come in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.standing import Standing, duration, expected_trials
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.grid import Arms, Grid
from gkm.study.design.space import Choice, Float, SearchSpace
from gkm.study.record.results import StudyResults, TrialRow

BASE = TrialConfig(training=TrainingConfig(epochs=10))
SPACE = SearchSpace({"optim.learning_rate": Float(1e-4, 1e-2, log=True)}, base=BASE, trials=6)


def row(number: int, epochs: int = 0, status: Any = "running", best: float = 30.0, **more: Any) -> TrialRow:
    history = tuple(
        {"epoch": epoch, "val/psnr": best - (epochs - epoch), "seconds": 2.0 * epoch} for epoch in range(1, epochs + 1)
    )
    more.setdefault("group", number)
    return TrialRow(number, status, BASE, {"optim.learning_rate": 1e-3}, history, **more)


@pytest.fixture
def clock() -> Any:
    class Clock:
        now = 100.0

        def __call__(self) -> float:
            return self.now

    return Clock()


@pytest.fixture
def follow(clock: Callable[[], float]) -> Callable[..., Standing]:
    def begin(
        budget: Budget | None = None, *trials: TrialRow, price: float = 0.0, spent: Spent | None = None
    ) -> Standing:
        design = SPACE.within(budget) if budget else SPACE
        standing = Standing(design, price_per_hour=price, clock=clock)
        spent = spent or Spent()
        results = StudyResults("s", trials, "running", budget=design.limits, blurred=(28.0, 29.0), spent=spent)
        standing.begin(results, BASE.training.epochs)
        return standing

    return begin


def test_number_of_trials_follows_from_the_design() -> None:
    assert expected_trials(SPACE) == (6, 3)
    assert expected_trials(SPACE, confirm=0) == (6, 0)
    assert expected_trials(replace(SPACE, seeds=(0, 1), trials=2, confirm_seeds=2)) == (4, 4)
    assert expected_trials(SPACE.within(Budget(trials=None, hours=1.0))) == (None, 3)
    assert expected_trials(SPACE.within(Budget(trials=1))) == (1, 0)
    arms = Arms({"a": {}, "b": {"model.width": 8}}, "a", base=BASE, seeds=(0, 1, 2))
    assert expected_trials(arms) == (6, 0)
    assert expected_trials(Grid({"model.width": Choice(8, 16)}, base=BASE)) == (2, 0)


def test_done_best_and_gain(follow: Callable[..., Standing]) -> None:
    standing = follow()
    for one in (
        row(0, 10, "finished", 31.0),
        row(1, 3, "stopped", 33.0),
        row(2, 2),
        row(3, 0, "refused"),
        row(4, 1, "failed"),
    ):
        standing.update(one)
    standing.update(TrialRow(5, "waiting", BASE))
    assert standing.progress == "3 of 9"
    assert [one.number for one in standing.ranked] == [1, 0, 2]
    assert [one.number for one in standing.running] == [2]
    assert standing.gain(standing.ranked[0]) == pytest.approx(4.5)
    assert standing.gain(row(9)) is None
    assert standing.spent.trials == 4
    assert standing.spent.epochs == 16


def test_more_trials_than_expected_are_counted(follow: Callable[..., Standing]) -> None:
    standing = follow(
        Budget(trials=1), row(0, 10, "finished"), row(1, 10, "finished"), row(2, 10, "finished", phase="confirm")
    )
    assert standing.progress == "3 of 3"


def test_a_trial_takes_what_its_own_epochs_took(follow: Callable[..., Standing], clock: Any) -> None:
    standing = follow()
    assert standing.seconds_left(row(0)) is None
    standing.update(row(0, 4))
    assert standing.seconds_left(standing.rows[0]) == pytest.approx(12.0)
    clock.now += 1.0
    assert standing.seconds_left(standing.rows[0]) == pytest.approx(11.0)
    clock.now += 100.0
    assert standing.seconds_left(standing.rows[0]) == pytest.approx(10.0)
    standing.update(row(1))
    assert standing.seconds_left(standing.rows[1]) == pytest.approx(20.0), "as long as the others take"


def test_the_study_takes_what_trials_to_come_take(follow: Callable[..., Standing]) -> None:
    standing = follow()
    assert standing.seconds_left_in_all() is None
    standing.update(row(0, 10, "finished"))
    standing.update(row(1, 2, "stopped"))
    standing.update(row(2, 2))
    standing.update(row(3, 2))
    # Two running to 6 epochs as is usual so far, 2 to come with 6, 3 confirmations with 10; 2 s an epoch, 2 at a time.
    assert standing.seconds_left_in_all() == pytest.approx((2 * 4 + 2 * 6 + 3 * 10) * 2.0 / 2)


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        (Budget(trials=None, hours=2.0), 3600.0),
        (Budget(trials=None, epochs=50), 40 * 2.0),
        (Budget(trials=None, cost=5.0), 0.75 * 3600),
    ],
)
def test_limits_of_hours_epochs_and_money_end_it_sooner(
    follow: Callable[..., Standing], budget: Budget, seconds: float
) -> None:
    standing = follow(budget, row(0, 10, "finished"), price=4.0, spent=Spent(1, 10, 1.0, 2.0))
    assert standing.progress == "1"
    assert standing.seconds_left_in_all() == pytest.approx(seconds)


def test_hours_and_money_are_counted_over_all_starts(follow: Callable[..., Standing], clock: Any) -> None:
    standing = follow(price=2.0, spent=Spent(0, 0, 1.5, 3.0))
    clock.now += 1800
    assert (standing.spent.hours, standing.spent.cost) == (2.0, 4.0)


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (4.4, 99, 300, 7200)] == ["4 s", "99 s", "5 min", "2.0 h"]
