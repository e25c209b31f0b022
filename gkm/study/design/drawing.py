"""An Optuna trial in; the settings of a trial, drawn or given, on record as its parameters out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gkm.study.design.grid import Arms, Grid
from gkm.study.design.parameters import Value
from gkm.study.design.search import Sampler, sampler_for

if TYPE_CHECKING:
    from optuna.trial import Trial


class Drawing:
    """Suggests through an Optuna trial, seeded anew for each parameter, so that one drawn after a crash is the same."""

    def __init__(self, trial: Trial, sampler: Sampler, seed: int) -> None:
        self._trial, self._sampler, self._seed = trial, sampler, seed

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self._seeded(name).suggest_float(name, low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        return int(self._seeded(name).suggest_int(name, low, high, step=step))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._seeded(name).suggest_categorical(name, choices)  # type: ignore[no-any-return]

    def _seeded(self, name: str) -> Trial:
        self._trial.study.sampler = sampler_for(self._sampler, self._seed, self._trial.number, name)
        return self._trial


def suggest_given(trial: Trial, design: Grid | Arms, values: Mapping[str, Value]) -> None:
    """Put an ablation's settings on record as parameters: an arm by its name, a grid's by their paths."""
    if isinstance(design, Arms):
        trial.suggest_categorical("arm", list(design.settings))
        return
    for path in values:
        trial.suggest_categorical(path, list(design.parameters[path].options))
