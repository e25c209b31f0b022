"""What a study may spend (trials, epochs, hours, money) as a value; what it has spent in, what is left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from gkm.errors import InputError


@dataclass(frozen=True)
class Spent:
    """What a study has used so far, over all its starts."""

    trials: int = 0
    epochs: int = 0
    """Epochs trained, over all trials."""
    hours: float = 0.0
    """Hours during which a driver ran the study."""
    cost: float = 0.0
    """Money, by the price of the cluster it ran on."""


@dataclass(frozen=True)
class Budget:
    """The most that a study may spend; None: no limit of that kind. The first limit reached ends the study.

    `trials` counts the settings that are searched, refused and repeated ones apart; the confirmation of the best
    settings comes on top of `trials`, but within the other limits.
    """

    trials: int | None = 20
    epochs: int | None = None
    """Epochs over all trials together."""
    hours: float | None = None
    """Hours during which the study runs, pauses between its starts not counted."""
    cost: float | None = None
    """Money, in the currency of the prices."""

    def __post_init__(self) -> None:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        if all(limit is None for limit in limits.values()):
            raise InputError("budget: has no limit at all; give trials, epochs, hours or cost")
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise InputError(f"budget: {name} = {limit:g}, but a study needs more than nothing; give a larger one")

    def exhausted(self, spent: Spent) -> str | None:
        """Why nothing more may be spent on running trials, in words; None while there is something left.

        The number of trials limits what is started, not what runs; see `may_start`.
        """
        if self.epochs is not None and spent.epochs >= self.epochs:
            return f"the budget of {self.epochs} epochs is spent"
        if self.hours is not None and spent.hours >= self.hours:
            return f"the budget of {self.hours:g} hours is spent"
        if self.cost is not None and spent.cost >= self.cost:
            return f"the budget of {self.cost:g} in money is spent"
        return None

    def may_start(self, spent: Spent) -> bool:
        """Whether another setting may be tried."""
        return self.exhausted(spent) is None and (self.trials is None or spent.trials < self.trials)

    def to_json(self) -> dict[str, float | int | None]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        words = {"trials": "trials", "epochs": "epochs in all", "hours": "hours", "cost": "in money"}
        return ", ".join(f"{limit:g} {words[name]}" for name, limit in asdict(self).items() if limit is not None)
