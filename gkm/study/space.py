"""Search spaces: parameters over dotted setting paths in, validated trial settings out.

A search space is plain data: it names the settings to vary, what they may be, and the budget. It is checked against
`TrialConfig` when it is made, so that a misspelt key or an impossible value is refused before anything starts.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from gkm.config import TrialConfig
from gkm.errors import InputError

LARGEST_EXHAUSTIVE_CHECK = 4096

Value = bool | int | float | str | None


class Suggester(Protocol):
    """What draws values: an Optuna trial, or a stand-in for it."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value: ...


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log` draws its logarithm uniformly."""

    low: float
    high: float
    log: bool = False

    def suggest(self, suggester: Suggester, name: str) -> Value:
        return suggester.suggest_float(name, self.low, self.high, log=self.log)

    def extremes(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Int:
    """A whole number low, low + step, ... up to high."""

    low: int
    high: int
    step: int = 1

    def suggest(self, suggester: Suggester, name: str) -> Value:
        return suggester.suggest_int(name, self.low, self.high, step=self.step)

    def extremes(self) -> tuple[Value, ...]:
        return (self.low, self.low + (self.high - self.low) // self.step * self.step)

    def __str__(self) -> str:
        return f"{self.low} to {self.high}{f' by {self.step}' if self.step != 1 else ''}"


@dataclass(frozen=True)
class Choice:
    """One of the given options."""

    options: tuple[Value, ...]

    def __init__(self, *options: Value) -> None:
        object.__setattr__(self, "options", options)

    def suggest(self, suggester: Suggester, name: str) -> Value:
        return suggester.suggest_categorical(name, self.options)

    def extremes(self) -> tuple[Value, ...]:
        return self.options

    def __str__(self) -> str:
        return ", ".join(str(option) for option in self.options)


@dataclass(frozen=True)
class Condition:
    """`then`, searched only where the parameter `on`, named earlier in the space, has one of the values `equals`."""

    on: str
    equals: tuple[Value, ...]
    then: Float | Int | Choice

    def extremes(self) -> tuple[Value, ...]:
        return self.then.extremes()

    def __str__(self) -> str:
        return f"{self.then} where {self.on} is {' or '.join(str(value) for value in self.equals)}"


Parameter = Float | Int | Choice | Condition


@dataclass(frozen=True)
class SearchSpace:
    """What a study varies, from which settings it starts and what it may spend."""

    parameters: Mapping[str, Parameter]
    """Dotted setting path -> the values it may take, for example {"model.width": Choice(8, 16)}."""
    base: TrialConfig = field(default_factory=TrialConfig)
    """All other settings; `base.training.epochs` is the budget of a trial that is never stopped."""
    trials: int = 20
    """Trials started."""
    first_rung_epochs: int = 1
    """Epochs before a trial may be stopped for lagging behind."""
    reduction_factor: float = 3.0
    """At each rung the best 1 / reduction_factor go on; rungs lie this factor apart."""
    baseline: Mapping[str, Value] = field(default_factory=dict)
    """Parameter values of the first trial; left out: drawn like the others."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "baseline", MappingProxyType(dict(self.baseline)))
        self._check_budget()
        self._check_conditions()
        self._check_values()

    def __reduce__(self) -> tuple[Any, ...]:
        budget = (self.trials, self.first_rung_epochs, self.reduction_factor)
        return (SearchSpace, (dict(self.parameters), self.base, *budget, dict(self.baseline)))

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

    def suggest_numbered(self, suggester: Any) -> dict[str, int]:
        """Draw for an Optuna trial, whose number within the study goes with the drawn values as "trial"."""
        self.suggest(suggester)
        return {"trial": suggester.number}

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """The settings of a trial that drew `values` (dotted path -> value)."""
        return self.base.with_values(values, source="search space")

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that defines the search, its number of trials apart."""
        content = {
            "parameters": {path: repr(parameter) for path, parameter in self.parameters.items()},
            "base": self.base.fingerprint(),
            "rungs": [self.first_rung_epochs, self.reduction_factor],
            "baseline": dict(self.baseline),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _check_budget(self) -> None:
        if self.trials < 1:
            raise InputError(f"search space: trials = {self.trials}, but a study needs at least one")
        if not 1 <= self.first_rung_epochs <= self.base.training.epochs:
            raise InputError(
                f"search space: first_rung_epochs = {self.first_rung_epochs} must lie between 1 and "
                f"base.training.epochs = {self.base.training.epochs}"
            )
        if self.reduction_factor <= 1:
            raise InputError(f"search space: reduction_factor = {self.reduction_factor} must exceed 1; 3 or 4 is usual")

    def _check_conditions(self) -> None:
        earlier: list[str] = []
        for path, parameter in self.parameters.items():
            if isinstance(parameter, Condition) and parameter.on not in earlier:
                raise InputError(f"search space: {path} depends on {parameter.on}, which must be listed before it")
            earlier.append(path)
        for path in self.baseline:
            if path not in self.parameters:
                raise InputError(f"search space: the baseline sets {path}, which is not searched; put it into base")

    def _check_values(self) -> None:
        """Every option alone, and (where they are few enough) all options together, must give valid settings."""
        choices = {path: parameter.extremes() for path, parameter in self.parameters.items()}
        for path, options in choices.items():
            if not options:
                raise InputError(f"search space: {path} has no options; give at least one")
            for option in options:
                self.config({path: option})
        self.config(self.baseline)
        combinations = 1
        for options in choices.values():
            combinations *= len(options)
        if combinations <= LARGEST_EXHAUSTIVE_CHECK:
            for values in itertools.product(*choices.values()):
                self.config(dict(zip(choices, values, strict=True)))


def load_space(path: Path, trials: int | None = None) -> SearchSpace:
    """The `SPACE` that the Python file at `path` defines, with another number of `trials` if given.

    Raises InputError where the file is missing, fails, or defines no `SPACE`.
    """
    import runpy

    if not path.is_file():
        raise InputError(f"{path}: there is no such search space file; see the folder search_spaces for examples")
    try:
        names = runpy.run_path(str(path))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: cannot be used as a search space ({type(error).__name__}: {error})") from None
    space = names.get("SPACE")
    if not isinstance(space, SearchSpace):
        raise InputError(f"{path}: defines no SPACE = SearchSpace(...); see search_spaces/quick.py")
    return space if trials is None else replace(space, trials=trials)
