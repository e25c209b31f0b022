"""A study's record in; its trials and what is known of the study out, without changing anything."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from gkm import storage as places
from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.objective import Objective
from gkm.study.record.lease import Holder, Lease, is_alive
from gkm.study.record.record_place import RecordPlace, explaining
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import StudyStatus, TrialStatus

FORMAT = 1
"""Of the attributes below; a record of a later format is refused."""
EPOCH = "epoch:"
"""Attributes of a trial that hold what it reported begin so."""
AFTERWARDS = "trial:"
"""Attributes of the study that hold what was noted of a trial after its end begin so."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Kept:
    """What is known of one trial, kept in memory beside the storage."""

    frozen: FrozenTrial
    config: TrialConfig
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, Any]:
        return self.frozen.user_attrs  # type: ignore[no-any-return]

    @property
    def is_asked(self) -> bool:
        """Whether its parameters were drawn to the last; a driver may die in between."""
        return "values" in self.attributes


class RecordView:
    """One study's record, to look at."""

    def __init__(self, place: RecordPlace, name: str, store: BaseStorage) -> None:
        self.place, self.name = place, name
        self.storage = store
        with explaining(place.address(name)), warnings.catch_warnings(action="ignore"):
            self.optuna = optuna.load_study(study_name=name, storage=store)
            self.attributes: dict[str, Any] = dict(self.optuna.user_attrs)
            if int(self.attributes.get("gkm:format", 0)) > FORMAT:
                raise InputError(f"{self.address}: was written by a later version of gkm; upgrade this one")
            if "gkm:base" not in self.attributes:
                raise InputError(
                    f"{self.address}: {name} is an Optuna study, but not one of gkm; choose another --study name"
                )
            self._kept: dict[int, Kept] = {}
            self._last = -1
            self._leads: set[int] = set()
            """The first trial of each setting that is searched."""
            self._trained: dict[int, int] = {}
            """Trial -> epochs."""
            self._by_state: dict[TrialState, set[int]] = {state: set() for state in TrialState}
            for frozen in self.optuna.get_trials(deepcopy=False):
                self._keep(frozen)
        self.lease: Lease | None = None

    @property
    def address(self) -> str:
        return self.place.address(self.name)

    @property
    def id(self) -> str:
        """Unique to this record, whatever its name."""
        return str(self.attributes["gkm:record"])

    @cached_property
    def base(self) -> TrialConfig:
        """The settings that all trials share."""
        return TrialConfig.from_dict(self.attributes["gkm:base"], source=self.address)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(Objective(**entry) for entry in self.attributes["gkm:objectives"])

    @property
    def numbers(self) -> list[int]:
        return list(self._kept)

    @property
    def next_number(self) -> int:
        """That of the next trial to be made."""
        return self._last + 1

    @property
    def waiting(self) -> Set[int]:
        """Trials that have not been started."""
        return self._by_state[TrialState.WAITING]

    @property
    def running(self) -> Set[int]:
        """Trials that were started and have not ended, whether anyone trains them or not."""
        return self._by_state[TrialState.RUNNING]

    # Reading

    def row(self, number: int, live: bool = True) -> TrialRow:
        """A trial as it stands; `live`: whether a driver is running the study."""
        kept = self._kept[number]
        attributes, objective = kept.attributes, self.objectives[0]
        return TrialRow(
            number=number,
            status=self.status(number, live),
            config=kept.config,
            parameters=dict(attributes.get("values", {})),
            history=tuple(kept.history),
            reason=attributes.get("reason"),
            seed=kept.config.training.seed,
            group=int(attributes.get("group", number)),
            arm=attributes.get("arm"),
            phase=attributes.get("phase", "search"),
            place=self.trial_place(number),
            run_id=attributes.get("run_id"),
            notes=tuple(attributes.get("notes", ())),
            photographs=tuple(attributes["photographs"]) if "photographs" in attributes else None,
            complexity=dict(attributes.get("complexity", {})),
            metric=objective.metric,
            mode=objective.mode,
        )

    def status(self, number: int, live: bool = True) -> TrialStatus:
        """What became of a trial."""
        kept = self._kept[number]
        match kept.frozen.state:
            case TrialState.WAITING:
                return "waiting"
            case TrialState.RUNNING:
                return "running" if live else "interrupted"
            case TrialState.COMPLETE:
                return "finished"
            case TrialState.PRUNED:
                return "refused" if kept.attributes.get("refused") else "stopped"
            case _:
                return "failed"

    def attribute(self, number: int, key: str, default: Any = None) -> Any:
        """A note kept with a trial."""
        return self._kept[number].attributes.get(key, default)

    def is_asked(self, number: int) -> bool:
        """Whether a trial's settings were drawn to the last."""
        return self._kept[number].is_asked

    def epochs(self, number: int) -> int:
        """The last epoch on record."""
        history = self._kept[number].history
        return int(history[-1]["epoch"]) if history else 0

    def curve(self, number: int) -> dict[int, tuple[float, ...]]:
        """Epoch -> the objectives' values of the weights kept by then."""
        kept, found = self._kept[number], {}
        complexity = kept.attributes.get("complexity", {})
        for metrics in kept.history:
            values = (
                metrics.get(f"best/{o.metric}", metrics.get(o.metric, complexity.get(o.metric)))
                for o in self.objectives
            )
            point = tuple(float("nan") if value is None else value for value in values)
            found[int(metrics["epoch"])] = point
        return found

    def trial_place(self, number: int) -> str:
        """Where a trial keeps its files."""
        return places.join(self.attributes["gkm:folder"], self.name, "trials", f"{number:05d}")

    @property
    def state(self) -> StudyStatus:
        """As it was last written; "running" of a driver that died is not corrected here, see `results`."""
        return self.attributes.get("gkm:state", "running")  # type: ignore[no-any-return]

    @property
    def spent(self) -> Spent:
        """What the study has used so far."""
        hours, cost = self.attributes.get("gkm:hours", 0.0), self.attributes.get("gkm:cost", 0.0)
        return Spent(len(self._leads), sum(self._trained.values()), float(hours), float(cost))

    def holder(self) -> Holder | None:
        """The driver that runs the study now."""
        if self.lease is not None:
            return self.lease.holder
        return is_alive(self.place.lease(self.name))

    def results(self) -> StudyResults:
        """The whole study as one table; one whose driver is gone without a word is interrupted."""
        attributes = self.attributes
        live = self.state == "running" and self.holder() is not None
        status: StudyStatus = "interrupted" if self.state == "running" and not live else self.state
        reason = attributes.get("gkm:reason")
        if status == "interrupted" and self.state == "running":
            reason = "its driver ended without a word"
        return StudyResults(
            name=self.name,
            trials=tuple(self.row(number, live) for number in sorted(self._kept)),
            status=status,
            reason=reason,
            record_id=self.id,
            record=self.address,
            run_id=attributes.get("gkm:run_id", ""),
            objectives=self.objectives,
            data_fingerprint=attributes.get("gkm:data", ""),
            tags=dict(attributes.get("gkm:tags", {})),
            kind=attributes.get("gkm:kind", "search"),
            reference=attributes.get("gkm:reference"),
            photographs=tuple(attributes.get("gkm:photographs", ())),
            blurred=tuple(attributes.get("gkm:blurred", ())),
            rungs=tuple(attributes.get("gkm:rungs", ())),
            budget=Budget(**attributes["gkm:budget"]),
            spent=self.spent,
            planned=dict(attributes.get("gkm:planned", {})),
            confirm_settings=int(attributes.get("gkm:confirm", 0)),
        )

    def _keep(self, frozen: FrozenTrial) -> None:
        attributes = frozen.user_attrs
        if (noted := self.attributes.get(f"gkm:{AFTERWARDS}{frozen.number}")) is not None:
            attributes.update(noted)
        known = self._kept.get(frozen.number)
        if known is not None and known.is_asked:
            config = known.config
        else:
            values = dict(attributes.get("values", {}))
            if "seed" in attributes:
                values["training.seed"] = attributes["seed"]
            config = self.base.with_values(values, source=self.address) if values else self.base
        history = []
        for key in sorted(key for key in attributes if key.startswith(EPOCH)):
            # Their names, read anew with every report, are half of the memory that a trial takes.
            attributes[key] = {sys.intern(name): value for name, value in attributes[key].items()}
            history.append(attributes[key])
        self._kept[frozen.number] = Kept(frozen, config, history)
        self._last = max(self._last, frozen.number)
        self._trained[frozen.number] = self.epochs(frozen.number)
        (self._leads.add if _is_lead(frozen) else self._leads.discard)(frozen.number)
        for state, numbers in self._by_state.items():
            (numbers.add if state == frozen.state else numbers.discard)(frozen.number)


def _is_lead(trial: FrozenTrial) -> bool:
    attributes = trial.user_attrs
    is_searched = attributes.get("phase", "search") == "search" and not attributes.get("refused")
    return bool(is_searched and attributes.get("group", trial.number) == trial.number)
