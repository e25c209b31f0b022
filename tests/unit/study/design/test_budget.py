"""What a study may spend."""

import pytest

from gkm.errors import InputError
from gkm.study.design.budget import Budget, Spent


@pytest.mark.parametrize(
    ("budget", "spent", "reason"),
    [
        (Budget(trials=None, epochs=100), Spent(epochs=100), "the budget of 100 epochs is spent"),
        (Budget(hours=1.5), Spent(hours=1.6), "the budget of 1.5 hours is spent"),
        (Budget(cost=20), Spent(cost=20), "the budget of 20 in money is spent"),
        (Budget(epochs=100, hours=1), Spent(epochs=7, hours=2), "the budget of 1 hours is spent"),
        (Budget(trials=None, epochs=100), Spent(trials=1000, epochs=99, hours=1e6, cost=1e6), None),
        (Budget(trials=4), Spent(trials=4, epochs=1000), None),
    ],
)
def test_the_first_limit_reached_ends_a_study(budget: Budget, spent: Spent, reason: str | None) -> None:
    assert budget.exhausted(spent) == reason


def test_the_number_of_trials_limits_what_is_started_not_what_runs() -> None:
    budget = Budget(trials=4, epochs=100)
    assert budget.may_start(Spent(trials=3))
    assert not budget.may_start(Spent(trials=4))
    assert budget.exhausted(Spent(trials=4)) is None
    assert not budget.may_start(Spent(trials=3, epochs=100))
    assert Budget(trials=None, epochs=100).may_start(Spent(trials=1000))


@pytest.mark.parametrize("limits", [{"trials": 0}, {"epochs": -1}, {"hours": 0.0}, {"cost": float("nan")}])
def test_limits_of_nothing_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="needs more than nothing"):
        Budget(**limits)  # type: ignore[arg-type]


def test_a_budget_without_any_limit_is_refused() -> None:
    with pytest.raises(InputError, match="no limit at all"):
        Budget(trials=None)


def test_a_budget_is_kept_as_plain_values_and_said_in_words() -> None:
    budget = Budget(trials=8, hours=1.5)
    assert Budget(**budget.to_json()) == budget  # type: ignore[arg-type]
    assert str(budget) == "8 trials, 1.5 hours"
