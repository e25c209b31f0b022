"""Curves and a conductor in; the course of a study in simulated time out. No cluster, and nothing trained.

The cluster is a queue of events: some slots, and epochs that take as long as they were recorded to take.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage

from gkm.errors import InputError
from gkm.study.decisions.conductor import Assignment, Conductor
from gkm.study.design.design import Design
from gkm.study.design.space import SearchSpace
from gkm.study.insight.curves import Curves, Run
from gkm.study.record.lease import Holder, LeaseStore
from gkm.study.record.record import Record, RecordPlace, create_record


@dataclass(frozen=True)
class Step:
    """A moment at which another trial became the best so far."""

    epochs: int
    """Epochs trained by then, over all trials."""
    hours: float
    """Simulated hours since the start."""
    value: float
    """What that trial's setting gives when it is trained in full."""


class Clock:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Simulation:
    """A cluster that trains nothing."""

    def __init__(self, conductor: Conductor, curves: Curves, clock: Clock, repeats: bool) -> None:
        self._conductor, self._curves, self._clock, self._repeats = conductor, curves, clock, repeats
        self._settings: dict[int, int] = {}
        self._observed = curves.objective.worst
        self._leader: int | None = None
        self.trajectory: list[Step] = []
        self.unknown: dict[int, int] = {}

    def play(self, slots: int) -> None:
        """Until nothing is left to start."""
        queue: list[tuple[float, int, int]] = []
        running: dict[int, Iterator[tuple[float, dict[str, float]]]] = {}
        upcoming: dict[int, dict[str, float]] = {}
        order = 0
        while True:
            while len(running) < slots and isinstance(assignment := self._conductor.next_trial(), Assignment):
                running[assignment.number] = self._epochs(assignment)
                self._schedule(assignment.number, running, upcoming, queue, order)
                order += 1
            if not queue:
                return
            self._clock.now, _, number = heapq.heappop(queue)
            metrics = upcoming.pop(number)
            goes_on = self._conductor.report(number, metrics)
            self._look(number, metrics)
            if goes_on and metrics["epoch"] < self._conductor.epochs:
                self._schedule(number, running, upcoming, queue, order)
                order += 1
            else:
                del running[number]
                self._conductor.ended(number)

    def setting_of(self, group: int) -> int:
        """The table's setting that a trial stands for, by the number of the first trial with its settings."""
        return self._settings[group]

    def _schedule(
        self,
        number: int,
        running: Mapping[int, Iterator[tuple[float, dict[str, float]]]],
        upcoming: dict[int, dict[str, float]],
        queue: list[tuple[float, int, int]],
        order: int,
    ) -> None:
        seconds, upcoming[number] = next(running[number])
        heapq.heappush(queue, (self._clock.now + seconds, order, number))

    def _epochs(self, assignment: Assignment) -> Iterator[tuple[float, dict[str, float]]]:
        """What a trial reports, and how many seconds after the report before."""
        row = self._conductor.record.row(assignment.number)
        if row.group not in self._settings:
            self._settings[row.group] = self._find(row.parameters)
        run = self._curves.run(self._settings[row.group], row.seed)
        before, last = 0.0, self._conductor.epochs
        for place, epoch in enumerate(run.epochs):
            if epoch > last:
                return
            metrics = run.at(place)
            yield metrics["seconds"] - before, metrics
            before = metrics["seconds"]
        self.unknown[assignment.number] = run.epochs[-1]
        pace = before / run.epochs[-1]
        for epoch in (*range(run.epochs[-1] + _stride(run), last, _stride(run)), last):
            since = before + (epoch - run.epochs[-1]) * pace
            yield pace * _stride(run), metrics | {"epoch": float(epoch), "seconds": since}

    def _find(self, values: Mapping[str, Any]) -> int:
        taken = set(self._settings.values())
        free = None if self._repeats else [one for one in range(len(self._curves.settings)) if one not in taken]
        return self._curves.nearest(values, free or None)

    def _look(self, number: int, metrics: Mapping[str, float]) -> None:
        """Keep track of the best so far."""
        objective = self._curves.objective
        value = metrics[f"best/{objective.metric}"]
        if not objective.better(value, self._observed):
            return
        self._observed = value
        setting = self._settings[self._conductor.record.row(number).group]
        if setting == self._leader:
            return
        self._leader = setting
        spent, hours = self._conductor.spent.epochs, self._clock.now / 3600
        self.trajectory.append(Step(spent, hours, self._curves.value(setting)))


def _stride(run: Run) -> int:
    """Epochs between two reports."""
    return run.epochs[-1] - run.epochs[-2] if len(run.epochs) > 1 else run.epochs[0]


@dataclass(frozen=True)
class _Memory(RecordPlace):
    """A record that is forgotten."""

    url: str = "memory"
    store: BaseStorage = field(default_factory=InMemoryStorage)

    def address(self, name: str) -> str:
        return name

    def storage(self, name: str, create: bool = False) -> BaseStorage | None:
        return self.store

    def lease(self, name: str) -> LeaseStore:
        return _Unheld()


class _Unheld:
    """Nobody else can see the record."""

    def holder(self) -> Holder | None:
        return None

    def replace(self, seen: Holder | None, new: Holder | None) -> bool:
        return True

    def stop_wanted(self) -> bool:
        return False

    def want_stop(self) -> None:
        pass


def record_in_memory(design: Design, confirm: int) -> Record:
    """A record that is kept nowhere."""
    facts = {
        "base": design.base.model_dump(mode="json"),
        "budget": design.limits.to_json(),
        "folder": "",
        "confirm": confirm,
        "kind": design.kind,
    }
    return create_record(_Memory(), "replay", objectives=design.objectives, facts=facts, record_id="replay")


def enqueue(record: Record, design: Design, order: Sequence[tuple[int, int]]) -> None:
    """Have an ablation's settings tried in that `order` of (place among the settings, seed)."""
    if isinstance(design, SearchSpace):
        raise InputError("replay: a search has no order of its own; give an ablation")
    settings, groups = list(design.settings.items()), dict[int, int]()
    for number, (place, seed) in enumerate(order):
        arm, values = settings[place]
        groups.setdefault(place, number)
        record.enqueue({"arm": arm}, arm=arm, seed=seed, group=groups[place], settings=values)
