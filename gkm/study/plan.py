"""A design, a data set and a device in; what the study will take, before it starts, out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from gkm.config import TrialConfig
from gkm.data.manifest import Manifest
from gkm.study.budget import Budget
from gkm.study.course import Course, expected_course
from gkm.study.design import Design
from gkm.study.prices import PRICES, Price, load_prices
from gkm.study.rates import DeviceRate, known_rate
from gkm.study.space import SearchSpace
from gkm.study.stopping import NoStopping
from gkm.study.workload import Workload, mean_multiply_adds, sampled_settings, workload

SESSION_SECONDS = 15.0
"""Ray's start and end, the record and MLflow: once for a study."""
MOST_PLANNED = 100_000
"""Settings, where the budget limits something else."""
_LARGE = 1e6
"""Crop pixels x channels: of larger networks two settings are measured, the base and another; of others three."""


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
    budget: Budget = field(default_factory=Budget)
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """Of the search, or of the ablation: settings x seeds."""
        return self.settings * self.seeds

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
        """Hours of slots at work."""
        between = (self.trials + self.confirmed) * self.rates.trial_seconds
        return (self.trial_epochs * self.seconds_per_epoch + between) / 3600

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
        per_hour = self.price.per_hour(self.slots) if self.price else None
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
            ("cost", self._cost()),
            *([("budget", early)] if (early := self._budget()) else []),
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
            return f"{self.most_trial_epochs:,}" if self.course.kind == "exact" else f"at most {self.most_trial_epochs:,}"
        return f"about {self.trial_epochs:,.0f}, at most {self.most_trial_epochs:,}"

    def _cost(self) -> str:
        if self.price is None:
            return "not asked for (--cluster NAME)"
        if self.cost is None:
            return f"unknown: {self.price.name} has no price; put it into cluster/prices.json"
        per_hour = self.price.per_hour(self.slots)
        assert per_hour is not None
        return f"{self.cost:,.2f} {self.price.currency} at {per_hour:,.2f} an hour ({self.price.source})"

    def _budget(self) -> str:
        expected = {"epochs": self.trial_epochs, "hours": self.wall_hours, "cost": self.cost}
        over = [
            name for name, value in expected.items()
            if value is not None and (limit := getattr(self.budget, name)) is not None and limit < value
        ]  # fmt: skip
        return f"{self.budget}: ends the study before all of this" if over else ""


def make_plan(
    design: Design, manifest: Manifest, *, rates: DeviceRate, devices: int, price: Price | None = None, confirm: int = 0
) -> StudyPlan:
    """The plan of a study of `design` on the data set of `manifest`, `devices` trials at a time.

    `confirm` is the number of settings that are trained again with fresh seeds; only a search does that.
    """
    loads = [workload(config, manifest) for config in sampled_settings(design)]
    if design.limits.trials is not None or not isinstance(design, SearchSpace):
        count = design.limits.trials if isinstance(design, SearchSpace) else len(design.settings)
        return _plan(design, manifest, loads, count or 1, rates, devices, price, confirm)
    low, high = 1, MOST_PLANNED
    while low < high:  # the fewest settings that spend the budget
        middle = (low + high) // 2
        if _plan(design, manifest, loads, middle, rates, devices, price, confirm)._budget():
            high = middle
        else:
            low = middle + 1
    return _plan(design, manifest, loads, low, rates, devices, price, confirm)


def plan_for(
    design: Design,
    data: str,
    manifest: Manifest,
    *,
    slots: int,
    device: str | None = None,
    cluster: str | None = None,
    prices_path: Path | None = None,
    confirm: int | None = None,
    threads: int = 1,
) -> StudyPlan:
    """The plan of a study of `design` on the data set at `data`, `slots` trials at a time.

    `device` names what trials run on (see `known_rate`); left out, it is that of `cluster` in the file of prices, or
    this machine, which is measured with `threads` for each trial. `confirm`: settings to confirm; None: as the design says.

    Raises InputError where device, cluster or prices are not known, or there are no photographs to train or validate on.
    """
    for split in ("train", "validation"):
        manifest.require(split, data)
    price = load_prices(prices_path or PRICES).cluster(cluster) if cluster else None
    if name := device or (price.worker.device if price else None):
        rates = known_rate(name)
    else:
        from gkm.study.calibration import calibrate

        def count() -> None:
            for config in sampled_settings(design):
                workload(config, manifest)

        rates = calibrate(_measured(design), _photo(manifest), slots=slots, threads=threads, meanwhile=count)
    chosen = design.confirm if confirm is None else confirm
    return make_plan(design, manifest, rates=rates, devices=slots, price=price, confirm=chosen)


def _measured(design: Design) -> list[TrialConfig]:
    """The settings by which this machine's speed is measured: those with different networks, the base first."""
    base = design.base
    others = {config.model: config for config in sampled_settings(design) if config.model != base.model}
    large = base.data.crop_pixels**2 * base.data.batch_size * base.model.width > _LARGE
    return [base, *others.values()][: 2 if large else 3]


def _photo(manifest: Manifest) -> tuple[int, int]:
    """Height and width of a validation photograph of middling size."""
    entries = sorted(manifest.splits["validation"].entries, key=lambda pair: pair.height * pair.width)
    return entries[len(entries) // 2].height, entries[len(entries) // 2].width


def _plan(
    design: Design,
    manifest: Manifest,
    loads: list[Workload],
    settings: int,
    rates: DeviceRate,
    slots: int,
    price: Price | None,
    confirm: int,
) -> StudyPlan:
    base, seeds = design.base, len(design.training_seeds)
    every, epochs = base.training.validate_every, base.training.epochs
    return StudyPlan(
        settings=settings,
        seeds=seeds,
        confirmed=_confirmed(design, settings, confirm),
        epochs=epochs,
        rungs=tuple(design.rule.rungs(epochs)) if not isinstance(design.rule, NoStopping) else (),
        course=expected_course(design.rule, settings * seeds, epochs, every, slots),
        train_photos=manifest.count("train"),
        validation_photos=manifest.count("validation"),
        crops_per_epoch=manifest.count("train") * base.data.crops_per_photo,
        steps_per_epoch=fmean(load.steps for load in loads),
        multiply_adds_per_epoch=mean_multiply_adds(loads),
        seconds_per_epoch=fmean(_seconds(load, rates) for load in loads),
        slots=max(1, slots),
        rates=rates,
        price=price,
        budget=design.limits,
        parameters=design.describe(),
    )


def _confirmed(design: Design, settings: int, confirm: int) -> int:
    """Trials that confirm the best settings, by the rules of `gkm.study.conductor`."""
    several = len(design.objectives) > 1 or settings < 2
    if not isinstance(design, SearchSpace) or several or "training.seed" in design.parameters:
        return 0
    chosen = min(confirm, settings)
    return chosen * design.confirm_seeds if chosen > 1 else 0


def _seconds(load: Workload, rates: DeviceRate) -> float:
    """Seconds of one epoch, on average over a trial."""
    own = rates.at_width(load.width)
    validation = load.validation / own.inference + load.megapixels * own.scoring + own.epoch_seconds
    return load.steps * max(own.step_seconds, load.step / own.training) + validation * load.validations / load.epochs


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
