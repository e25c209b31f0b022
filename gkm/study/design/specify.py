"""Texts such as "asha:first_rung_epochs=3,reduction_factor=3" in, stopping rules and samplers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gkm.errors import InputError
from gkm.study.design.search import CMAES, GP, NSGA2, TPE, Random, Sampler
from gkm.study.design.stopping import ASHA, Hyperband, Median, NoStopping, Patient, Stopping

STOPPING: Mapping[str, type[Any]] = {
    "none": NoStopping,
    "asha": ASHA,
    "hyperband": Hyperband,
    "median": Median,
    "patient": Patient,
}
"""Name -> stopping rule."""
SAMPLERS: Mapping[str, type[Any]] = {"tpe": TPE, "gp": GP, "random": Random, "cmaes": CMAES, "nsga2": NSGA2}
"""Name -> sampler."""


def parse_stopping(text: str) -> Stopping:
    """The stopping rule that `text` names: NAME or NAME:key=value,key=value.

    Raises InputError where there is no such rule, or it has no such key or cannot have that value.
    """
    rule: Stopping = _parse(text, STOPPING, "stopping rule")
    return rule


def parse_sampler(text: str) -> Sampler:
    """The sampler that `text` names, as for `parse_stopping`."""
    sampler: Sampler = _parse(text, SAMPLERS, "sampler")
    return sampler


def _parse(text: str, kinds: Mapping[str, type[Any]], what: str) -> Any:
    name, _, rest = text.strip().partition(":")
    kind = kinds.get(name.strip().lower())
    if kind is None:
        raise InputError(f"{text!r}: there is no {what} {name.strip()!r}; there are {', '.join(kinds)}")
    types = {field.name: str(field.type) for field in fields(kind)}
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise InputError(f"{text!r}: {part!r} is no setting; write {name}:key=value,key=value")
        if key not in types:
            there = f"it has {', '.join(types)}" if types else "it has none"
            raise InputError(f"{text!r}: the {what} {name} has no setting {key!r}; {there}")
        if key in values:
            raise InputError(f"{text!r}: sets {key} twice; leave one out")
        values[key] = _value(text, key, value, types[key])
    needed = [field.name for field in fields(kind) if not _has_default(field) and field.name not in values]
    if needed:
        raise InputError(f"{text!r}: the {what} {name} needs {', '.join(needed)}; write {name}:{needed[0]}=...")
    return kind(**values)


def _value(text: str, key: str, value: str, kind: str) -> Any:
    """`value` as what the field `key` holds: a number, or a rule by name."""
    if kind not in ("int", "float"):
        return _parse(value, {name: STOPPING[name] for name in ("asha", "hyperband", "median")}, "inner stopping rule")
    try:
        return int(value) if kind == "int" else float(value)
    except ValueError:
        article = "a whole number" if kind == "int" else "a number"
        raise InputError(f"{text!r}: {key} = {value} must be {article}") from None


def _has_default(field: Any) -> bool:
    from dataclasses import MISSING

    return field.default is not MISSING or field.default_factory is not MISSING
