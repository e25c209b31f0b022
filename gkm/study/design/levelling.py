"""A sampler that learns from finished trials alone in; one that learns from those stopped early, too, out.

A value after one epoch cannot stand beside one after a hundred. So a trial that was stopped counts as if it had gone on
to gain what other trials gained after that epoch: the median of those that were stopped later or not at all.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from statistics import median
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Levelled(BaseSampler):  # type: ignore[misc]
    """`inner`, shown stopped trials as finished ones."""

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(_view(study), trial)  # type: ignore[no-any-return]

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(_view(study), trial, search_space)  # type: ignore[no-any-return]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(_view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)


class _View:
    """A study whose stopped trials are finished, at the level of those that are."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._levelled: list[FrozenTrial] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        if self._levelled is None:
            self._levelled = _level(self._study._get_trials(deepcopy=False, use_cache=use_cache))
        return [trial for trial in self._levelled if states is None or trial.state in states]


def _view(study: Study) -> Any:
    """Of several objectives Optuna keeps no values by epoch, so there is nothing to learn from."""
    return study if study._is_multi_objective() else _View(study)


def _level(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    ends: dict[int, dict[int, float]] = {}
    for trial in trials:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.intermediate_values:
            ends[trial.number] = trial.intermediate_values
    ahead = gains(ends)
    return [_finished(trial, ahead) if trial.state == TrialState.PRUNED else trial for trial in trials]


def gains(curves: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """For each epoch at which a curve ends, what is gained by the last of them: the sum of medians from end to end."""
    stops = sorted({max(curve) for curve in curves.values()})
    found = {stops[-1]: 0.0} if stops else {}
    for at, following in zip(reversed(stops[:-1]), reversed(stops[1:]), strict=True):
        steps = [_at(curve, following) - _at(curve, at) for curve in curves.values() if max(curve) >= following]
        found[at] = found[following] + median(steps)
    return found


def _at(curve: Mapping[int, float], epoch: int) -> float:
    """The value at `epoch`, or at the last report before it; the first one where there is none."""
    epochs = sorted(curve)
    return curve[epochs[max(0, bisect_right(epochs, epoch) - 1)]]


def _finished(trial: FrozenTrial, ahead: Mapping[int, float]) -> FrozenTrial:
    if not trial.intermediate_values:
        return trial  # refused before it was trained
    last = max(trial.intermediate_values)
    levelled = copy.copy(trial)
    levelled.state = TrialState.COMPLETE
    levelled.values = [trial.intermediate_values[last] + ahead[last]]
    return levelled
