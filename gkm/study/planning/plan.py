"""A design, a data set and a device in; what the study will take, before it starts, out."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from gkm.config import TrialConfig
from gkm.data.dataset.dataset import Dataset
from gkm.data.dataset.manifest import Manifest
from gkm.data.photos import TRIAL_SPLITS
from gkm.study.design.design import Design
from gkm.study.design.space import SearchSpace
from gkm.study.design.stopping import NoStopping
from gkm.study.planning.course import expected_course
from gkm.study.planning.figures import StudyPlan
from gkm.study.planning.prices import PRICES, Price, load_prices
from gkm.study.planning.rates import DeviceRate, known_rate
from gkm.study.planning.workload import Workload, mean_multiply_adds, sampled_settings, workload

__all__ = ["StudyPlan", "make_plan", "plan_for"]

MOST_PLANNED = 100_000
"""Settings, where the budget limits something else."""
_LARGE = 1e6
"""Crop pixels x channels: of larger networks two settings are measured, the base and another; of others three."""


def make_plan(
    design: Design,
    manifest: Manifest,
    *,
    rates: DeviceRate,
    devices: int,
    price: Price | None = None,
    confirm: int = 0,
    trials_per_gpu: int = 1,
) -> StudyPlan:
    """The plan of a study of `design` on the data set of `manifest`, `devices` trials at a time.

    `rates` are those of one of them; `trials_per_gpu` have one GPU together.

    `confirm` is the number of settings that are trained again with fresh seeds; only a search does that.
    """
    loads = [workload(config, manifest) for config in sampled_settings(design)]

    def planned(settings: int) -> StudyPlan:
        return _plan(design, manifest, loads, settings, rates, devices, price, confirm, trials_per_gpu)

    if design.limits.trials is not None or not isinstance(design, SearchSpace):
        count = design.limits.trials if isinstance(design, SearchSpace) else len(design.settings)
        return planned(count or 1)
    low, high = 1, MOST_PLANNED
    while low < high:  # the fewest settings that spend the budget
        middle = (low + high) // 2
        if planned(middle).early_end():
            high = middle
        else:
            low = middle + 1
    return planned(low)


def plan_for(
    design: Design,
    dataset: Dataset,
    *,
    slots: int,
    device: str | None = None,
    cluster: str | None = None,
    prices_path: Path | None = None,
    confirm: int | None = None,
    threads: int = 1,
    trials_per_gpu: int = 1,
) -> StudyPlan:
    """The plan of a study of `design` on `dataset`, `slots` trials at a time, `trials_per_gpu` of them on one GPU.

    `device` names what trials run on (see `known_rate`); left out, it is that of `cluster` in the file of prices, or
    this machine, which is measured with `threads` for each trial. `confirm`: settings to confirm; None: as the design
    says.

    Raises InputError where device, cluster or prices are not known, or photographs to train or validate on are missing.
    """
    dataset.require(*TRIAL_SPLITS)
    manifest = dataset.manifest
    price = load_prices(prices_path or PRICES).cluster(cluster) if cluster else None
    if name := device or (price.worker.device if price else None):
        rates = known_rate(name).shared(trials_per_gpu)
    else:
        from gkm.study.planning.calibration import calibrate

        def count() -> None:
            for config in sampled_settings(design):
                workload(config, manifest)

        rates = calibrate(
            _measured(design), _photo(manifest), slots=slots, threads=threads, sharing=trials_per_gpu, meanwhile=count
        )
    chosen = design.confirm if confirm is None else confirm
    return make_plan(
        design, manifest, rates=rates, devices=slots, price=price, confirm=chosen, trials_per_gpu=trials_per_gpu
    )


def _measured(design: Design) -> list[TrialConfig]:
    """The settings by which this machine's speed is measured: those with different networks, the base first."""
    base = design.base
    others = {config.model: config for config in sampled_settings(design) if config.model != base.model}
    large = base.data.crop_pixels**2 * base.data.batch_size * base.model.first_channels > _LARGE
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
    trials_per_gpu: int,
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
        trials_per_gpu=trials_per_gpu,
        budget=design.limits,
        parameters=design.describe(),
    )


def _confirmed(design: Design, settings: int, confirm: int) -> int:
    """Trials that confirm the best settings, by the rules of `gkm.study.decisions.conductor`."""
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
