"""Search spaces: parameters over dotted setting paths in, validated trial settings out.

A search space is plain data: it names the settings to vary, what they may be, how they are searched and what may be
spent. It is checked against `TrialConfig` when it is made, so that a misspelt key or an impossible value is refused
before anything starts.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.objective import PSNR, Constraint, Objective
from gkm.study.design.parameters import Choice, Condition, Float, Int, Parameter, Suggester, Value, check_condition
from gkm.study.design.search import TPE, Sampler, check_sampler
from gkm.study.design.stopping import ASHA, Stopping

__all__ = ["Choice", "Condition", "Float", "Int", "Parameter", "SearchSpace", "Suggester", "Value"]

LARGEST_EXHAUSTIVE_CHECK = 4096
_TPE = TPE()


@dataclass(frozen=True)
class SearchSpace:
    """What a study varies, from which settings it starts, how it searches and what it may spend."""

    parameters: Mapping[str, Parameter]
    """Dotted setting path -> the values it may take, for example {"model.width": Choice(8, 16)}."""
    base: TrialConfig = field(default_factory=TrialConfig)
    """All other settings; `base.training.epochs` is the length of a trial that is never stopped."""
    trials: int = 20
    """Settings tried; `budget` can set other limits."""
    first_rung_epochs: int = 1
    """Epochs before a trial may be stopped for lagging behind."""
    reduction_factor: float = 3.0
    """At each rung the best 1 / reduction_factor go on; rungs lie this factor apart."""
    baseline: Mapping[str, Value] = field(default_factory=dict)
    """Parameter values of the first trial; left out: drawn like the others."""
    points_to_evaluate: Sequence[Mapping[str, Value]] = ()
    """Parameter values of the trials after it; what one of them leaves out is drawn."""
    seeds: tuple[int, ...] = ()
    """Training seeds: each setting is trained with each of them; left out: `base.training.seed` alone."""
    sampler: Sampler = _TPE
    """How settings are chosen: TPE, GP, CMAES, NSGA2 or Random."""
    stopping: Stopping | None = None
    """Who is stopped early; left out: ASHA by `first_rung_epochs` and `reduction_factor`."""
    objectives: tuple[Objective, ...] = (PSNR,)
    """What counts as better; with several the study searches their Pareto front."""
    constraints: tuple[Constraint, ...] = ()
    """Limits on the network; settings beyond them are refused before they are trained."""
    confirm: int = 3
    """How many of the best settings are trained again, with fresh seeds, to choose the winner by; 0: none."""
    confirm_seeds: int = 1
    """Fresh seeds for each of them."""
    budget: Budget | None = None
    """Limits on trials, epochs, hours and money; left out: `trials` alone."""

    kind = "search"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "baseline", MappingProxyType(dict(self.baseline)))
        points = tuple(MappingProxyType(dict(point)) for point in self.points_to_evaluate)
        object.__setattr__(self, "points_to_evaluate", points)
        object.__setattr__(self, "seeds", check_seeds(self.seeds, self.parameters))
        self._check_search()
        self._check_conditions()
        self._check_values()

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name.name: getattr(self, name.name) for name in fields(self)}
        values |= {"parameters": dict(self.parameters), "baseline": dict(self.baseline)}
        values["points_to_evaluate"] = tuple(dict(point) for point in self.points_to_evaluate)
        return (_restore, (SearchSpace, values))

    @property
    def limits(self) -> Budget:
        """What the study may spend."""
        return self.budget or Budget(trials=self.trials)

    @property
    def rule(self) -> Stopping:
        """Who is stopped early."""
        return self.stopping or ASHA(self.first_rung_epochs, self.reduction_factor)

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The seeds that each setting is trained with; none where the seed itself is searched."""
        return self.seeds or (self.base.training.seed,)

    def within(self, budget: Budget) -> SearchSpace:
        """This space with other limits."""
        return replace(self, budget=budget)

    def suggest(self, suggester: Suggester) -> dict[str, Value]:
        """Draw one value for every parameter that applies."""
        drawn: dict[str, Value] = {}
        for path, parameter in self.parameters.items():
            match parameter:
                case Condition(on=on, equals=equals, then=then):
                    if drawn.get(on) in equals:
                        drawn[path] = then.suggest(suggester, path)
                case _:
                    drawn[path] = parameter.suggest(suggester, path)
        return drawn

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """The settings of a trial that drew `values` (dotted path -> value)."""
        return self.base.with_values(values, source="search space")

    def describe(self) -> dict[str, str]:
        """Dotted path -> what it may be, in words."""
        return {path: str(parameter) for path, parameter in self.parameters.items()}

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that defines the search; what may be spent is no part of it."""
        content: dict[str, Any] = {
            "parameters": {path: repr(parameter) for path, parameter in self.parameters.items()},
            "base": self.base.fingerprint(),
            "rungs": [self.first_rung_epochs, self.reduction_factor],
            "baseline": dict(self.baseline),
        }
        for name in ("seeds", "sampler", "stopping", "objectives", "constraints"):
            value = getattr(self, name)
            if value != _DEFAULTS[name]:  # a study made before there was such a choice stays the same
                content[name] = repr(value)
        if self.points_to_evaluate:
            content["points"] = [dict(point) for point in self.points_to_evaluate]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _check_search(self) -> None:
        if self.trials < 1:
            raise InputError(f"search space: trials = {self.trials}, but a study needs at least one")
        if self.stopping is None and not 1 <= self.first_rung_epochs <= self.base.training.epochs:
            raise InputError(
                f"search space: first_rung_epochs = {self.first_rung_epochs} must lie between 1 and "
                f"base.training.epochs = {self.base.training.epochs}"
            )
        if self.reduction_factor <= 1:
            raise InputError(f"search space: reduction_factor = {self.reduction_factor} must exceed 1; 3 or 4 is usual")
        if self.confirm < 0 or self.confirm_seeds < 1:
            raise InputError("search space: confirm must be 0 or more, and confirm_seeds at least 1")
        check_objectives(self.objectives)
        check_sampler(self.sampler, self.objectives)

    def _check_conditions(self) -> None:
        earlier: dict[str, Parameter] = {}
        for path, parameter in self.parameters.items():
            if isinstance(parameter, Condition):
                if parameter.on not in earlier:
                    raise InputError(f"search space: {path} depends on {parameter.on}, which must be listed before it")
                check_condition(path, parameter, earlier[parameter.on])
            earlier[path] = parameter
        for path in self.baseline:
            if path not in self.parameters:
                raise InputError(f"search space: the baseline sets {path}, which is not searched; put it into base")
        for point in self.points_to_evaluate:
            for path, value in point.items():
                if path not in self.parameters or not self.parameters[path].contains(value):
                    raise InputError(
                        f"search space: points_to_evaluate has {path} = {value!r}, which is not searched; "
                        "use values that the parameters may take"
                    )

    def _check_values(self) -> None:
        """Every option, with all else at its baseline or first option, and (where they are few enough) all options
        together must give valid settings; conditions decide what goes together."""
        for path, parameter in self.parameters.items():
            parameter.check(path)
            if not parameter.extremes():
                raise InputError(f"search space: {path} has no options; give at least one")
        combinations = 1
        for parameter in self.parameters.values():
            combinations *= len(parameter.extremes())
        if combinations <= LARGEST_EXHAUSTIVE_CHECK:
            for values in self._combinations():
                self.config(values)
        else:
            for path, parameter in self.parameters.items():
                for option in parameter.extremes():
                    self.config(self.around(path, option))
        self.config(self.baseline)

    def _combinations(self) -> Iterator[dict[str, Value]]:
        """All settings of extreme options that can be drawn."""
        seen: set[tuple[tuple[str, Value], ...]] = set()
        for chosen in itertools.product(*(parameter.extremes() for parameter in self.parameters.values())):
            values = self.suggest(_Fixed(dict(zip(self.parameters, chosen, strict=True))))
            key = tuple(values.items())
            if key not in seen:
                seen.add(key)
                yield values

    def around(self, path: str, option: Value) -> dict[str, Value]:
        """Settings that can be drawn in which `path` is `option`, all else at its baseline or first option."""
        chosen: dict[str, Value] = {p: parameter.extremes()[0] for p, parameter in self.parameters.items()}
        chosen |= dict(self.baseline) | {path: option}
        parameter = self.parameters[path]
        while isinstance(parameter, Condition):
            chosen[parameter.on] = parameter.equals[0]
            parameter = self.parameters[parameter.on]
        return self.suggest(_Fixed(chosen))


class _Fixed:
    """Draws what it was given."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return self._values[name]  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        return self._values[name]  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._values[name]


_DEFAULTS = {field.name: field.default for field in fields(SearchSpace)}


def check_seeds(seeds: Sequence[int], paths: Mapping[str, object]) -> tuple[int, ...]:
    """`seeds` as a tuple; InputError where they are no seeds, or the seed is varied already."""
    found = tuple(seeds)
    if found and "training.seed" in paths:
        raise InputError("search space: training.seed is searched, so seeds cannot be given as well; leave one out")
    if len(set(found)) != len(found):
        raise InputError(f"search space: seeds {found} name one twice; each must be another")
    for seed in found:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            raise InputError(f"search space: {seed!r} is no training seed; give whole numbers from 0")
    return found


def check_objectives(objectives: Sequence[Objective]) -> None:
    """Raises InputError where a study cannot search by them."""
    if not objectives:
        raise InputError("search space: objectives is empty; leave it out for val/psnr")
    if len({objective.metric for objective in objectives}) != len(objectives):
        raise InputError("search space: objectives name one metric twice")
    if not objectives[0].metric.startswith("val/"):
        raise InputError(
            f"search space: the first objective is {objectives[0].metric}, but weights are kept by it, so it must be "
            "one of the validation's (val/psnr, val/ssim, val/loss); put the other one second"
        )


def _restore(kind: type[SearchSpace], values: dict[str, Any]) -> SearchSpace:
    return kind(**values)
