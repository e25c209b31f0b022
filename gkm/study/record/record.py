"""The truth of a study: an Optuna study in an Optuna storage, with what was asked, seen, decided and spent.

Only the driver that holds the study's lease writes it; whoever wants to look may read it at any time, as may Optuna and
optuna-dashboard. Trial numbers are the identity of trials everywhere.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import TrialState

from gkm.errors import InputError
from gkm.study.design.objective import Objective
from gkm.study.record.lease import Lease, hold
from gkm.study.record.record_place import RecordError, RecordPlace, check_name, explaining, repair
from gkm.study.record.record_view import AFTERWARDS, EPOCH, FORMAT, RecordView
from gkm.study.record.results import StudyResults

__all__ = ["Record", "RecordError", "RecordPlace", "check_name", "create_record", "load_study", "open_record", "repair"]


class Record(RecordView):
    """One study's record, open. Methods that write raise RecordError, or LeaseLostError where another driver writes."""

    @contextmanager
    def held(self) -> Iterator[Lease]:
        """Hold the study's lease for the length of a `with` block; InputError names a driver that has it."""
        with hold(self.place.lease(self.name), self.name) as lease:
            self.lease = lease
            try:
                yield lease
            finally:
                self.lease = None

    def set(self, **attributes: Any) -> None:
        """Note facts of the study, as "gkm:NAME"."""
        with self._writing():
            for name, value in attributes.items():
                key = f"gkm:{name}"
                if self.attributes.get(key) != value:
                    self.optuna.set_user_attr(key, value)
                    self.attributes[key] = value

    def note(self, number: int, **attributes: Any) -> None:
        """Note facts of a trial; of one that has ended they are kept with the study: Optuna changes no such trial."""
        kept = self._kept[number]
        if kept.frozen.state.is_finished():
            key = f"{AFTERWARDS}{number}"
            self.set(**{key: {**self.attributes.get(f"gkm:{key}", {}), **attributes}})
            kept.attributes.update(attributes)
            return
        with self._writing():
            for key, value in attributes.items():
                self.storage.set_trial_user_attr(kept.frozen._trial_id, key, value)
                kept.attributes[key] = value

    def ask(self) -> optuna.trial.Trial:
        """The next trial: the first that waits, or else a new one, without parameters as yet."""
        with self._writing():
            trial = self.optuna.ask()
            self._refresh(trial.number)
            return trial

    def reopen(self, number: int) -> optuna.trial.Trial:
        """A running trial whose parameters were not drawn to the last."""
        with self._writing():
            return optuna.trial.Trial(self.optuna, self._kept[number].frozen._trial_id)

    def asked(self, number: int, values: Mapping[str, Any], seed: int) -> None:
        """A trial's settings are complete."""
        attributes = {"seed": seed, **({} if self.attribute(number, "group") is not None else {"group": number})}
        self.note(number, **attributes, values=dict(values))
        del self._kept[number]
        self._refresh(number)

    def enqueue(self, parameters: Mapping[str, Any], **attributes: Any) -> int:
        """Have settings tried; returns the trial's number."""
        with self._writing():
            self.optuna.enqueue_trial(dict(parameters), user_attrs=attributes)
            number = self.next_number
            self._refresh(number)
            return number

    def add_epoch(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Record a validated epoch; False where it is on record already."""
        epoch = int(metrics["epoch"])
        if epoch <= self.epochs(number):
            return False
        kept = self._kept[number]
        with self._writing():
            entry = {key: float(value) for key, value in metrics.items()}
            self.storage.set_trial_user_attr(kept.frozen._trial_id, f"{EPOCH}{epoch:07d}", entry)
            kept.history.append(entry)
            self._trained[number] = epoch
            if len(self.objectives) == 1:
                value = self.curve(number)[epoch][0]
                self.storage.set_trial_intermediate_value(kept.frozen._trial_id, epoch, value)
                kept.frozen.intermediate_values[epoch] = value
        return True

    def end(self, number: int, state: TrialState, reason: str | None = None, **attributes: Any) -> None:
        """A trial's end. COMPLETE and PRUNED take the values of the weights kept."""
        if reason is not None:
            attributes["reason"] = reason
        self.note(number, **attributes)
        with self._writing(), warnings.catch_warnings(action="ignore"):
            curve = self.curve(number)
            last = curve[max(curve)] if curve else None
            values = list(last) if last is not None and state == TrialState.COMPLETE else None
            if state == TrialState.PRUNED and last is not None and len(self.objectives) == 1:
                values = [last[0]]
            self.storage.set_trial_state_values(self._kept[number].frozen._trial_id, state, values)
            self._refresh(number)

    def constrain(self, number: int, violations: Mapping[str, float]) -> None:
        """Tell the sampler by how much a trial's network exceeds each limit (0 or less: it keeps it)."""
        with self._writing(), warnings.catch_warnings(action="ignore"):  # one noted before a crash is the same
            trial = optuna.trial.Trial(self.optuna, self._kept[number].frozen._trial_id)
            for name, violation in violations.items():
                trial.set_constraint(name, violation)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.lease is not None:
            self.lease.check()
        with explaining(self.address):
            yield

    def _refresh(self, number: int) -> None:
        self._keep(
            self.storage.get_trial(self.storage.get_trial_id_from_study_id_trial_number(self.optuna._study_id, number))
        )


def create_record(
    place: RecordPlace,
    name: str,
    *,
    objectives: Sequence[Objective],
    facts: Mapping[str, Any],
    record_id: str | None = None,
    fill: Callable[[optuna.Study], object] = lambda study: None,
) -> Record:
    """A new record. `facts` are noted as "gkm:NAME"; "base", "budget" and "folder" must be among them.

    `fill` puts trials there; where a driver dies meanwhile, it is called again for what there is by then.
    """
    store = place.storage(name, create=True)
    assert store is not None
    with explaining(place.address(name)), warnings.catch_warnings(action="ignore"):
        directions = [objective.direction for objective in objectives]
        study = optuna.create_study(study_name=name, storage=store, directions=directions, load_if_exists=True)
        if [direction.name.lower() for direction in study.directions] != directions:
            raise InputError(f"{place.address(name)}: {name} is a study of other goals; choose another --study name")
        known = study.user_attrs
        notes = {
            "gkm:format": FORMAT,
            "gkm:record": record_id or uuid.uuid4().hex,
            "gkm:created": time.time(),
            "gkm:objectives": [{"metric": o.metric, "mode": o.mode, "unit": o.unit} for o in objectives],
            **{f"gkm:{key}": value for key, value in facts.items() if key != "base"},
        }
        for key, value in notes.items():
            if key not in known:
                study.set_user_attr(key, value)
        fill(study)
        if "gkm:base" not in known:
            study.set_user_attr("gkm:base", facts["base"])  # last: a record with it is whole
        if len(objectives) == 1:
            study.set_metric_names([objectives[0].metric])
    return Record(place, name, store)


def open_record(place: RecordPlace, name: str) -> Record | None:
    """The record of a study, None where there is none (or a driver died while it made it)."""
    store = place.storage(name)
    if store is None:
        return None
    with explaining(place.address(name)), warnings.catch_warnings(action="ignore"):
        known = {study.study_name: study for study in store.get_all_studies()}
        if name not in known:
            return None
        attributes = known[name].user_attrs
        is_begun = "gkm:format" in attributes or not (attributes or store.get_n_trials(known[name]._study_id))
        if is_begun and "gkm:base" not in attributes:
            return None
    return Record(place, name, store)


def load_study(place: RecordPlace, name: str) -> StudyResults:
    """All trials of the study `name`; InputError lists the studies on record where there is none of that name."""
    record = open_record(place, check_name(name))
    if record is None:
        known = ", ".join(place.names()) or "none yet"
        raise InputError(
            f"study {name}: is not on record in {place.address(name)} (there: {known}); check the name and --workspace"
        )
    return record.results()
