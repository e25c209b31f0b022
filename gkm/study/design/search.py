"""Who asks next: small typed specifications of Optuna's samplers, reseeded for every trial.

The seed of a trial's draw follows from the study's seed and the trial's number alone, so that an interrupted study asks
what an undisturbed one would have asked.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gkm.errors import InputError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Sampler(Protocol):
    """How the next settings are chosen."""

    several_objectives: bool

    def build(self, seed: int) -> BaseSampler:
        """Optuna's sampler, seeded."""


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator (Bergstra et al., 2011), multivariate and with groups for conditional spaces."""

    startup_trials: int = 10
    """Random draws before the first informed one."""
    several_objectives = True

    def build(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.startup_trials, multivariate=True, group=True, constant_liar=True, seed=seed
        )


@dataclass(frozen=True)
class GP:
    """Gaussian process with expected improvement, also of trials stopped early; slow beyond some hundred trials."""

    startup_trials: int = 10
    several_objectives = True

    def build(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        from gkm.study.design.levelling import Levelled

        inner = GPSampler(
            n_startup_trials=self.startup_trials,
            deterministic_objective=False,
            warn_independent_sampling=False,  # it draws conditional parameters by themselves
            seed=seed,
        )
        return Levelled(inner)  # by itself it would see finished trials alone, and draw at random until there are ten


@dataclass(frozen=True)
class Random:
    """Independent draws."""

    several_objectives = True

    def build(self, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


@dataclass(frozen=True)
class CMAES:
    """Covariance matrix adaptation (Hansen, 2016); for numbers, choices are drawn at random."""

    startup_trials: int = 1
    several_objectives = False

    def build(self, seed: int) -> BaseSampler:
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(n_startup_trials=self.startup_trials, warn_independent_sampling=False, seed=seed)


@dataclass(frozen=True)
class NSGA2:
    """Non-dominated sorting genetic algorithm (Deb et al., 2002); for several objectives and hundreds of trials."""

    population: int = 20
    several_objectives = True

    def build(self, seed: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population, seed=seed)


def sampler_for(sampler: Sampler, study_seed: int, number: int, parameter: str = "") -> BaseSampler:
    """The sampler that draws trial `number`; for a `parameter` that is drawn by itself, one of its own."""
    digest = hashlib.sha256(f"{study_seed}/{number}/{parameter}".encode()).digest()
    with warnings.catch_warnings(action="ignore"):  # Optuna's about experimental arguments
        return sampler.build(int.from_bytes(digest[:4], "big") >> 1)


def check_sampler(sampler: Sampler, objectives: Sequence[object]) -> None:
    """Raises InputError where the sampler cannot serve that many objectives."""
    if len(objectives) > 1 and not sampler.several_objectives:
        raise InputError(
            f"sampler: {type(sampler).__name__} searches by one objective; use TPE, GP, NSGA2 or Random with several"
        )
