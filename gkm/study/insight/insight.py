"""The record of a study in; which of the searched settings mattered, and who passed which rung, out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from gkm.study.record.results import SettingRow, StudyResults
from gkm.study.record.statuses import SCORED

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage

FEWEST_SETTINGS = 8
"""With fewer, importances are chance."""
BEST_SETTINGS = 5
"""How many settings at least count as good; Optuna's authors advise five."""
_FEW = 6
"""Numbers with at most so many different values are treated as options."""
_LOG_RATIO = 10.0
"""Positive numbers that span more than this factor are treated on a logarithmic scale."""


@dataclass(frozen=True)
class Importances:
    """How much each searched setting has to do with being among the best (PED-ANOVA, Watanabe et al., 2023)."""

    shares: Mapping[str, float] | None
    """Dotted path -> its share, the largest first, 1 in all; None where nothing can be said."""
    settings: int
    """Settings that these are from."""
    reason: str | None = None
    """Why nothing can be said."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Dotted path -> why it has no share."""


@dataclass(frozen=True)
class RungRow:
    """What became of the search's trials at an epoch at which trials may be stopped."""

    epoch: int
    reached: int
    stopped: int
    """Of those, stopped there."""

    @property
    def went_on(self) -> int:
        return self.reached - self.stopped


def importances(results: StudyResults, storage: BaseStorage | None = None) -> Importances:
    """Importances of what was searched for the first objective, over settings that finished or were stopped.

    A setting's score is the mean over the search's seeds; one that was stopped early counts as it stood then. `storage`
    is that of the record, which knows the ranges that were searched; left out, they are those that were drawn.
    """
    if results.kind == "arms":
        return Importances(None, 0, "an ablation compares its arms one by one, see its verdicts")
    scored = [(setting, score) for setting in results.settings if (score := _score(setting)) is not None]
    count = len(scored)
    if count < FEWEST_SETTINGS:
        few = f"{count} setting{'s' if count != 1 else ''} with a score, but at least {FEWEST_SETTINGS} are needed"
        return Importances(None, count, few)
    known = _recorded(storage, results.name)
    ranges: dict[str, BaseDistribution] = {}
    left_out: dict[str, str] = {}
    for path in results.parameters:
        values = [setting.lead.parameters[path] for setting, _ in scored if path in setting.lead.parameters]
        if len({repr(value) for value in values}) < 2:
            left_out[path] = "had one value only"
        else:
            ranges[path] = known[path] if path in known and _fits(known[path], values) else _range(values)
    if not ranges:
        return Importances(None, count, "no searched setting had two values", left_out)
    if len({score for _, score in scored}) < 2:
        return Importances(None, count, "all settings score the same", left_out)
    shares = _evaluate(results, scored, ranges)
    total = sum(shares.values())
    if not total > 0:
        return Importances(None, count, "the best settings have nothing in common", left_out)
    ordered = sorted(shares, key=lambda path: -shares[path])
    return Importances({path: shares[path] / total for path in ordered}, count, None, left_out)


def rung_survival(results: StudyResults) -> list[RungRow]:
    """Per rung, how many of the search's trials came that far, and how many were stopped there."""
    rows = []
    for rung in results.rungs:
        reached = stopped = 0
        for trial in results.trials:
            # A trial is judged at its first report at or after a rung.
            first = min((metrics["epoch"] for metrics in trial.history if metrics["epoch"] >= rung), default=None)
            if trial.phase == "search" and first is not None:
                reached += 1
                stopped += trial.status == "stopped" and trial.epochs == first
        rows.append(RungRow(rung, reached, stopped))
    return rows


def is_logarithmic(values: Sequence[object]) -> bool:
    """Whether numbers are better shown, and compared, by their logarithms."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not numbers or min(numbers) <= 0:
        return False
    return max(numbers) / min(numbers) > _LOG_RATIO


def _score(setting: SettingRow) -> float | None:
    scores = [
        trial.score
        for trial in setting.trials
        if trial.phase == "search" and trial.status in SCORED and math.isfinite(trial.score)
    ]
    return fmean(scores) if scores else None


def _evaluate(
    results: StudyResults, scored: Sequence[tuple[SettingRow, float]], ranges: Mapping[str, BaseDistribution]
) -> dict[str, float]:
    """PED-ANOVA of a study in memory that has one trial for each setting."""
    import optuna

    quantile = min(0.5, max(0.1, BEST_SETTINGS / len(scored)))
    with _quiet():
        study = optuna.create_study(direction=results.objectives[0].direction)
        for setting, score in scored:
            values = {path: setting.lead.parameters[path] for path in ranges if path in setting.lead.parameters}
            own = {path: ranges[path] for path in values}
            study.add_trial(optuna.trial.create_trial(params=values, distributions=own, value=score))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=list(ranges), normalize=False
        )
    return {path: max(0.0, float(value)) for path, value in found.items() if math.isfinite(value)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what Optuna says about experimental functions, and about a study made in memory, to itself."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(before)


def _recorded(storage: BaseStorage | None, name: str) -> dict[str, Any]:
    """The ranges on record: those of the newest trial that has each."""
    if storage is None:
        return {}
    found: dict[str, Any] = {}
    for trial in storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False):
        found |= trial.distributions
    return found


def _fits(known: BaseDistribution, values: Sequence[Any]) -> bool:
    """Whether a range, which may have been another at first, has all these values."""
    try:
        return all(known._contains(known.to_internal_repr(value)) for value in values)
    except (ValueError, TypeError):
        return False


def _range(values: Sequence[object]) -> BaseDistribution:
    """What may have been searched, from what was drawn."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    distinct = list(dict.fromkeys(values))
    numbers = [value for value in distinct if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(distinct) or len(distinct) <= _FEW:
        return CategoricalDistribution(distinct)
    low, high, log = min(numbers), max(numbers), is_logarithmic(numbers)
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)
