"""What a study will take, as figures and as lines to print."""

from __future__ import annotations

from dataclasses import dataclass, field

from gkm.study.design.budget import Budget
from gkm.study.planning.course import Course
from gkm.study.planning.prices import Price
from gkm.study.planning.rates import DeviceRate

SESSION_SECONDS = 15.0
"""Ray's start and end, the record and MLflow: once for a study."""


@dataclass(frozen=True)
class StudyPlan:
    """The size of a study. Expected figures include the confirmation of the best settings."""

    settings: int
    seeds: int
    confirmed: int
    """Trials that confirm the best settings with fresh seeds."""
    epochs: int
    rungs: tuple[int, ...]
    """Epochs at which trials that are behind are stopped."""
    course: Course
    train_photos: int
    validation_photos: int
    crops_per_epoch: int
    steps_per_epoch: float
    multiply_adds_per_epoch: float
    """On average over the design's settings, validation included."""
    seconds_per_epoch: float
    """Of one slot, likewise."""
    slots: int
    """Trials at a time."""
    rates: DeviceRate
    price: Price | None = None
    trials_per_gpu: int = 1
    """Slots that have a GPU together."""
    budget: Budget = field(default_factory=Budget)
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """Of the search, or of the ablation: settings x seeds."""
        return self.settings * self.seeds

    @property
    def devices(self) -> int:
        """GPUs in use, or other devices."""
        return -(-self.slots // self.trials_per_gpu)

    @property
    def trial_epochs(self) -> float:
        """Epochs over all trials, as expected."""
        return self.course.trial_epochs + self.confirmed * self.epochs

    @property
    def most_trial_epochs(self) -> int:
        """Epochs if no trial were stopped."""
        return (self.trials + self.confirmed) * self.epochs

    @property
    def device_hours(self) -> float:
        """Hours of devices at work; trials that share one have their parts of them."""
        between = (self.trials + self.confirmed) * self.rates.trial_seconds
        return (self.trial_epochs * self.seconds_per_epoch + between) / 3600 / self.trials_per_gpu

    @property
    def wall_hours(self) -> float:
        """Hours from start to end."""
        rounds = -(-self.confirmed // self.slots)
        in_turn = self.course.longest + rounds * self.epochs
        between = -(-(self.trials + self.confirmed) // self.slots) * self.rates.trial_seconds
        return (in_turn * self.seconds_per_epoch + between + self.rates.start_seconds + SESSION_SECONDS) / 3600

    @property
    def cost(self) -> float | None:
        """Money for the whole cluster while the study runs; None: no price is known."""
        per_hour = self.price.per_hour(self.devices) if self.price else None
        return None if per_hour is None else per_hour * self.wall_hours

    def figures(self) -> dict[str, float]:
        """What is kept in the study's record; "cost" is left out where it is not known."""
        found = {
            "trials": float(self.trials + self.confirmed),
            "trial_epochs": self.trial_epochs,
            "most_trial_epochs": float(self.most_trial_epochs),
            "multiply_adds": self.trial_epochs * self.multiply_adds_per_epoch,
            "device_hours": self.device_hours,
            "wall_hours": self.wall_hours,
        }
        return found if self.cost is None else {**found, "cost": self.cost}

    def lines(self) -> list[str]:
        """The plan, ready to print."""
        where = ", ".join(str(rung) for rung in self.rungs)
        match self.course.kind:
            case "expected":
                stopped = f"trials that are behind stop at epoch {where}"
            case "exact":
                stopped = "none is stopped early"
            case _:
                stopped = "some may be stopped early, but none is assumed to be"
        rows = [
            ("settings", self._settings()),
            ("each epoch", self._epoch()),
            ("trials alive", self._alive()),
            ("trial epochs", self._trial_epochs()),
            ("optimiser steps", f"{self.trial_epochs * self.steps_per_epoch:,.0f}"),
            ("multiply-adds", f"{self.figures()['multiply_adds']:.2g}, averaged over the settings"),
            ("device", f"{self.rates.name}: {self.rates.basis}"),
            ("device hours", _hours(self.device_hours)),
            ("time", f"about {_duration(self.wall_hours)}, {self.slots} {_plural('trial', self.slots)} at a time"),
            ("sharing", self._sharing()),
            ("cost", self._cost()),
            *([("budget", early)] if (early := self.early_end()) else []),
            *self.parameters.items(),
        ]
        width = max(len(name) for name, _ in rows)
        first = f"plan: {self.trials} trials of at most {self.epochs} epochs; {stopped}"
        return [first, *(f"  {name:{width}}  {text}" for name, text in rows if text)]

    def _settings(self) -> str:
        confirmed = f"; then {self.confirmed} trials confirm the best with fresh seeds" if self.confirmed else ""
        return f"{self.settings} with {self.seeds} {_plural('seed', self.seeds)} each{confirmed}"

    def _epoch(self) -> str:
        return (
            f"{self.crops_per_epoch} crops from {self.train_photos} photographs in {self.steps_per_epoch:.0f} steps, "
            f"validated on {self.validation_photos}"
        )

    def _alive(self) -> str:
        if self.course.kind != "expected":
            return ""
        stages = (f"{_about(stage.trials)} to epoch {stage.last_epoch}" for stage in self.course.stages)
        return ", ".join(stages)

    def _trial_epochs(self) -> str:
        if self.course.kind != "expected":
            return (
                f"{self.most_trial_epochs:,}" if self.course.kind == "exact" else f"at most {self.most_trial_epochs:,}"
            )
        return f"about {self.trial_epochs:,.0f}, at most {self.most_trial_epochs:,}"

    def _sharing(self) -> str:
        if self.trials_per_gpu == 1:
            return ""
        how = "measured so" if self.rates.measured else "assumed to take turns, which gains nothing"
        return f"{self.trials_per_gpu} trials have a GPU together: {how}"

    def _cost(self) -> str:
        if self.price is None:
            return "not asked for (--cluster NAME)"
        if self.cost is None:
            return f"unknown: {self.price.name} has no price; put it into cluster/prices.json"
        per_hour = self.price.per_hour(self.devices)
        assert per_hour is not None
        return f"{self.cost:,.2f} {self.price.currency} at {per_hour:,.2f} an hour ({self.price.source})"

    def early_end(self) -> str:
        """The budget, if it is spent before all that is expected; else nothing."""
        expected = {"epochs": self.trial_epochs, "hours": self.wall_hours, "cost": self.cost}
        over = [
            name for name, value in expected.items()
            if value is not None and (limit := getattr(self.budget, name)) is not None and limit < value
        ]  # fmt: skip
        return f"{self.budget}: ends the study before all of this" if over else ""


def _about(count: float) -> str:
    return f"{count:.0f}" if count >= 10 or count == round(count) else f"{count:.1f}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 20 else f"{hours:.2g}"


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
