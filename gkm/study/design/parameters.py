"""What a setting may be: ranges, choices and conditions, drawn through whatever suggests values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gkm.errors import InputError

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

    def contains(self, value: Value) -> bool:
        return _is_number(value) and self.low <= float(value) <= self.high  # type: ignore[arg-type]

    def check(self, path: str) -> None:
        if not self.low <= self.high:
            raise InputError(f"search space: {path}: the range {self.low:g} to {self.high:g} is empty; swap its ends")
        if self.log and self.low <= 0:
            raise InputError(f"search space: {path}: a logarithmic range must begin above 0, not at {self.low:g}")

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

    def contains(self, value: Value) -> bool:
        return isinstance(value, int) and value in range(self.low, self.high + 1, self.step)

    def check(self, path: str) -> None:
        if self.step < 1:
            raise InputError(f"search space: {path}: step = {self.step} must be at least 1")
        if self.low > self.high:
            raise InputError(f"search space: {path}: the range {self.low} to {self.high} is empty; swap its ends")

    def __str__(self) -> str:
        return f"{self.low} to {self.high}{f' by {self.step}' if self.step != 1 else ''}"


@dataclass(frozen=True)
class Choice:
    """One of the given options."""

    options: tuple[Value, ...]

    def __init__(self, *options: Value) -> None:
        object.__setattr__(self, "options", options)

    def contains(self, value: Value) -> bool:
        return value in self.options

    def check(self, path: str) -> None:
        if not self.options:
            raise InputError(f"search space: {path} has no options; give at least one")
        for option in self.options:
            if not isinstance(option, bool | int | float | str | None):
                raise InputError(
                    f"search space: {path}: {option!r} is no single value; write Choice(a, b), not Choice([a, b])"
                )
        if len(set(map(repr, self.options))) != len(self.options):
            raise InputError(f"search space: {path} names an option twice")

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

    def suggest(self, suggester: Suggester, name: str) -> Value:
        return self.then.suggest(suggester, name)

    def extremes(self) -> tuple[Value, ...]:
        return self.then.extremes()

    def contains(self, value: Value) -> bool:
        return self.then.contains(value)

    def check(self, path: str) -> None:
        self.then.check(path)

    def __str__(self) -> str:
        return f"{self.then} where {self.on} is {' or '.join(str(value) for value in self.equals)}"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Parameter = Float | Int | Choice | Condition


def check_condition(path: str, condition: Condition, on: Parameter) -> None:
    """Raises InputError where a condition can never hold."""
    if not condition.equals:
        raise InputError(f"search space: {path} is searched under no value of {condition.on}; give at least one")
    plain = on
    while isinstance(plain, Condition):
        plain = plain.then
    for value in condition.equals:
        if not plain.contains(value):
            raise InputError(
                f"search space: {path} is searched where {condition.on} is {value}, but that is never so; "
                f"{condition.on} is {plain}"
            )
