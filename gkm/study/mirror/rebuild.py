"""A study as MLflow has it in; its record, which was lost, made anew out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from gkm.study.design.design import Design
from gkm.study.design.space import SearchSpace, Value
from gkm.study.record.record import Record, RecordPlace, create_record
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import TrialStatus

_STATES: dict[TrialStatus, TrialState] = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "refused": TrialState.PRUNED,
}


def rebuild(place: RecordPlace, name: str, lost: StudyResults, design: Design, facts: Mapping[str, Any]) -> Record:
    """The record of a study from what MLflow has of it. Trials that had not ended go on as interrupted ones."""

    def fill(study: optuna.Study) -> None:
        for number in range(len(study.get_trials(deepcopy=False)), _first_gap(lost.trials)):
            study.add_trial(_frozen(lost.trials[number], design))

    return create_record(
        place, name, objectives=design.objectives, facts=facts, record_id=lost.record_id or None, fill=fill
    )


def _first_gap(trials: Sequence[TrialRow]) -> int:
    """How many trials are numbered without a gap from 0 on; numbers are identities and cannot be left out."""
    count = 0
    for trial in trials:
        if trial.number != count:
            break
        count += 1
    return count


def _frozen(row: TrialRow, design: Design) -> optuna.trial.FrozenTrial:
    recorder = _Recorder(row.parameters)
    if isinstance(design, SearchSpace):
        design.suggest(recorder)
    elif row.arm is not None and design.kind == "arms":
        recorder.suggest_categorical("arm", list(design.settings), row.arm)
    state = _STATES.get(row.status, TrialState.RUNNING)
    attributes: dict[str, Any] = {
        "values": dict(row.parameters),
        "seed": row.seed,
        "group": row.group,
        "phase": row.phase,
        **{f"epoch:{int(metrics['epoch']):07d}": dict(metrics) for metrics in row.history},
    }
    optional = {"arm": row.arm, "reason": row.reason, "run_id": row.run_id}
    attributes |= {key: value for key, value in optional.items() if value is not None}
    if row.complexity:
        attributes["complexity"] = dict(row.complexity)
    if row.status == "refused":
        attributes["refused"] = True
    best: float | None = None
    curve: dict[int, float] = {}
    objective = design.objectives[0]
    for metrics in row.history:
        value = metrics.get(objective.metric)
        if value is not None:
            best = value if best is None or objective.better(value, best) else best
            metrics.setdefault(f"best/{objective.metric}", best)
        if best is not None:
            curve[int(metrics["epoch"])] = best
    several = len(design.objectives) > 1
    if state == TrialState.COMPLETE and (best is None or several):
        state = TrialState.RUNNING  # it goes on from its checkpoint, finds itself at its end and says so
    values = [best] if best is not None and state in (TrialState.COMPLETE, TrialState.PRUNED) and not several else None
    return optuna.trial.create_trial(
        state=state,
        params=recorder.values,
        distributions=recorder.distributions,
        user_attrs=attributes,
        intermediate_values={} if several else curve,
        values=values,
    )


class _Recorder:
    """Stands in for an Optuna trial: draws what was drawn, and notes from what it was."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._known = values
        self.values: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self._note(name, FloatDistribution(low, high, log=log), low))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        return int(self._note(name, IntDistribution(low, high, step=step), low))

    def suggest_categorical(self, name: str, choices: Sequence[Value], value: Any = None) -> Value:
        return self._note(name, CategoricalDistribution(list(choices)), choices[0], value)  # type: ignore[no-any-return]

    def _note(self, name: str, distribution: BaseDistribution, otherwise: Any, value: Any = None) -> Any:
        found = value if value is not None else self._known.get(name, otherwise)
        self.values[name], self.distributions[name] = found, distribution
        return found
