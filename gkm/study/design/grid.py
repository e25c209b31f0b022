"""Ablations: named settings against a reference, or every combination of some options; each with every training seed.

Both are studies whose trials are all known beforehand: nothing is drawn, nothing is stopped early, and every difference
between two arms is paired photograph by photograph.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.objective import PSNR, Constraint, Objective
from gkm.study.design.parameters import Choice, Value
from gkm.study.design.search import Random, Sampler
from gkm.study.design.space import check_objectives, check_seeds
from gkm.study.design.stopping import NoStopping, Stopping

MOST_TRIALS = 10_000
_ALL = NoStopping()
_DRAWS = Random()


@dataclass(frozen=True)
class Arms:
    """Named settings, one of them the reference that the others are compared with."""

    arms: Mapping[str, Mapping[str, Value]]
    """Name -> the settings in which it differs from `base`, by dotted path."""
    reference: str
    """The name of the arm to compare with."""
    base: TrialConfig = field(default_factory=TrialConfig)
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds; each arm is trained with each. With one seed there is no verdict."""
    stopping: Stopping = _ALL
    objectives: tuple[Objective, ...] = (PSNR,)
    constraints: tuple[Constraint, ...] = ()
    budget: Budget | None = None
    """Limits on epochs, hours and money; left out: all arms with all seeds."""

    kind = "arms"
    confirm = 0
    confirm_seeds = 1
    sampler: Sampler = field(default=_DRAWS, init=False, repr=False)

    def __post_init__(self) -> None:
        frozen = {name: MappingProxyType(dict(values)) for name, values in self.arms.items()}
        object.__setattr__(self, "arms", MappingProxyType(frozen))
        paths = {path: None for values in self.arms.values() for path in values}
        object.__setattr__(self, "seeds", check_seeds(self.seeds, paths) or (self.base.training.seed,))
        check_objectives(self.objectives)
        if len(self.arms) < 2:
            raise InputError("ablation: needs at least two arms, the reference and another")
        if self.reference not in self.arms:
            raise InputError(f"ablation: the reference {self.reference!r} is no arm; there are {', '.join(self.arms)}")
        known: dict[str, str] = {}
        for name, values in self.arms.items():
            config = self.base.with_values(values, source=f"arm {name}")
            if (same := known.setdefault(config.fingerprint(), name)) != name:
                raise InputError(f"ablation: the arms {same} and {name} are the same settings; leave one out")

    def __reduce__(self) -> tuple[Any, ...]:
        arms = {name: dict(values) for name, values in self.arms.items()}
        rest = (self.seeds, self.stopping, self.objectives, self.constraints, self.budget)
        return (Arms, (arms, self.reference, self.base, *rest))

    @property
    def settings(self) -> dict[str, dict[str, Value]]:
        """Name -> what to change in `base`."""
        return {name: dict(values) for name, values in self.arms.items()}

    @property
    def limits(self) -> Budget:
        return self.budget or Budget(trials=len(self.arms))

    @property
    def rule(self) -> Stopping:
        return self.stopping

    @property
    def training_seeds(self) -> tuple[int, ...]:
        return self.seeds

    def within(self, budget: Budget) -> Arms:
        """This ablation with other limits."""
        return replace(self, budget=budget)

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """The settings of an arm that changes `values`."""
        return self.base.with_values(values, source="ablation")

    def describe(self) -> dict[str, str]:
        """Name of the arm -> what it changes, in words."""
        return {name: _in_words(values) for name, values in self.arms.items()}

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that defines the ablation; seeds and limits may grow."""
        content = {
            "arms": {name: dict(values) for name, values in self.arms.items()},
            "reference": self.reference,
            "base": self.base.fingerprint(),
            "rest": [repr(self.stopping), repr(self.objectives), repr(self.constraints)],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Grid:
    """Every combination of some options, with every training seed."""

    parameters: Mapping[str, Choice]
    """Dotted setting path -> its options."""
    base: TrialConfig = field(default_factory=TrialConfig)
    seeds: tuple[int, ...] = ()
    """Training seeds; left out: `base.training.seed` alone."""
    stopping: Stopping = _ALL
    objectives: tuple[Objective, ...] = (PSNR,)
    constraints: tuple[Constraint, ...] = ()
    budget: Budget | None = None
    """Limits on epochs, hours and money; left out: all combinations with all seeds."""

    kind = "grid"
    reference = None
    confirm = 0
    confirm_seeds = 1
    sampler: Sampler = field(default=_DRAWS, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "seeds", check_seeds(self.seeds, self.parameters) or (self.base.training.seed,))
        check_objectives(self.objectives)
        if not self.parameters:
            raise InputError("grid: names no parameter; give at least one")
        count = len(self.training_seeds)
        for path, choice in self.parameters.items():
            if not isinstance(choice, Choice):
                raise InputError(f"grid: {path} must be a Choice of options, but is {choice}")
            choice.check(path)
            count *= len(choice.options)
        if count > MOST_TRIALS:
            raise InputError(f"grid: has {count} trials, more than {MOST_TRIALS}; leave options out, or search instead")
        for values in self.settings.values():
            self.config(values)

    def __reduce__(self) -> tuple[Any, ...]:
        rest = (self.seeds, self.stopping, self.objectives, self.constraints, self.budget)
        return (Grid, (dict(self.parameters), self.base, *rest))

    @property
    def settings(self) -> dict[str, dict[str, Value]]:
        """Name -> what to change in `base`, in the order of the options."""
        paths = list(self.parameters)
        products = itertools.product(*(self.parameters[path].options for path in paths))
        combined = (dict(zip(paths, values, strict=True)) for values in products)
        return {_in_words(values): values for values in combined}

    @property
    def limits(self) -> Budget:
        return self.budget or Budget(trials=len(self.settings))

    @property
    def rule(self) -> Stopping:
        return self.stopping

    @property
    def training_seeds(self) -> tuple[int, ...]:
        return (self.base.training.seed,) if "training.seed" in self.parameters else self.seeds

    def within(self, budget: Budget) -> Grid:
        """This grid with other limits."""
        return replace(self, budget=budget)

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """The settings of a combination."""
        return self.base.with_values(values, source="grid")

    def describe(self) -> dict[str, str]:
        """Dotted path -> its options, in words."""
        return {path: str(choice) for path, choice in self.parameters.items()}

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that defines the grid; seeds and limits may grow."""
        content = {
            "parameters": {path: repr(choice) for path, choice in self.parameters.items()},
            "base": self.base.fingerprint(),
            "rest": [repr(self.stopping), repr(self.objectives), repr(self.constraints)],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _in_words(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in values.items()) or "as the base"
