"""Recorded curves in; what other search and stopping rules would have found, and at what cost, out. Nothing is trained.

The very conductor that decides in a study decides here, over a record in memory and in simulated time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gkm.errors import InputError
from gkm.study.decisions.conductor import Conductor
from gkm.study.design.budget import Budget
from gkm.study.design.design import Design
from gkm.study.design.grid import Arms
from gkm.study.design.search import Sampler
from gkm.study.design.space import Choice, Condition, Float, Int, Parameter, SearchSpace, Value
from gkm.study.design.stopping import NoStopping, Stopping
from gkm.study.insight.curves import Curves
from gkm.study.insight.simulation import Clock, Simulation, Step, enqueue, record_in_memory
from gkm.study.record.results import StudyResults

_FEW = 6
"""Numbers with at most so many different values in a recorded study are searched as a choice of them."""


@dataclass(frozen=True)
class Replay:
    """A study that was played, not run."""

    results: StudyResults
    """Its record, as of a study that was run."""
    value: float
    """The winner's value with full training: the mean over the recorded seeds."""
    best: float
    """The best such value in the table."""
    regret: float
    """How much worse the winner is, in the objective's unit; never below 0."""
    epochs: int
    """Epochs trained, over all trials."""
    hours: float
    """Simulated hours from the start to the end of the last trial."""
    trajectory: tuple[Step, ...]
    """How the best so far changed."""
    unknown: Mapping[int, int]
    """Trials that went on beyond what was recorded of them, where their curves are held flat: number -> last epoch."""

    def value_after(self, epochs: int) -> float | None:
        """The best so far, by its value with full training, once `epochs` were spent; None before the first report."""
        found = [step.value for step in self.trajectory if step.epochs <= epochs]
        return found[-1] if found else None


@dataclass(frozen=True)
class ReplayRow:
    """One replay of a recorded study, for a table."""

    name: str
    """"as recorded", or by which search seed."""
    trials: int
    stopped: int
    epochs: int
    hours: float
    value: float
    regret: float
    unknown: int
    """Trials that went on beyond what was recorded of them."""


def replay(
    curves: Curves,
    design: Design,
    *,
    slots: int = 2,
    seed: int = 0,
    confirm: int = 0,
    order: Sequence[tuple[int, int]] | None = None,
    repeats: bool = False,
) -> Replay:
    """Play a study of `design` against `curves`.

    A setting that is drawn stands for the nearest one of the table: of those not yet tried, or, with `repeats`, of all.
    `order` has an ablation's arms (by place) and seeds tried in that order.
    """
    if slots < 1:
        raise InputError(f"replay: slots = {slots} must be at least 1")
    if design.base.training.epochs > curves.epochs:
        raise InputError(
            f"replay: the design trains for {design.base.training.epochs} epochs, but the curves end at "
            f"{curves.epochs}; set base.training.epochs to that"
        )
    record = record_in_memory(design, confirm)
    clock = Clock()
    if order is not None:
        enqueue(record, design, order)
    conductor = Conductor(record, design, seed=seed, confirm=confirm, clock=clock)
    simulation = Simulation(conductor, curves, clock, repeats)
    simulation.play(slots)
    record.set(state="finished")
    results = record.results()
    winner = results.winner
    chosen = simulation.setting_of(winner.number) if winner is not None else None
    objective = curves.objective
    value = objective.worst if chosen is None else curves.value(chosen)
    best = curves.value(curves.best)
    return Replay(
        results=results,
        value=value,
        best=best,
        regret=abs(best - value),
        epochs=conductor.spent.epochs,
        hours=clock.now / 3600,
        trajectory=tuple(simulation.trajectory),
        unknown=simulation.unknown,
    )


def replay_study(
    results: StudyResults,
    *,
    stopping: Stopping | None = None,
    sampler: Sampler | None = None,
    seeds: Sequence[int] = range(20),
    slots: int = 2,
    space: SearchSpace | None = None,
) -> list[ReplayRow]:
    """What a recorded study would have found with another stopping rule or sampler, beside what it did.

    Without `sampler` all recorded settings are tried, with the first seed in their recorded order and with the others
    shuffled, so that stopping rules alone are compared. With one, it draws from `space` (left out: the ranges that were
    recorded) with as many trials and epochs as the study took. Trials that the study stopped are known only as far as
    that: a rule can be judged by what it stops earlier; where it goes on, their curves are held flat and counted.
    """
    curves = Curves.from_study(results)
    rows = [_as_recorded(results, curves)]
    for seed in seeds:
        if sampler is None:
            shuffle = None if seed == seeds[0] else seed
            played = _replay_in_order(results, curves, stopping or NoStopping(), slots, shuffle)
        else:
            searched = replace(
                space or guess_space(curves),
                sampler=sampler,
                stopping=stopping or NoStopping(),
                objectives=(curves.objective,),
                budget=Budget(trials=len(curves.settings), epochs=sum(t.epochs for t in results.trials)),
            )
            played = replay(curves, searched, slots=slots, seed=seed)
        rows.append(
            ReplayRow(
                name=f"seed {seed}",
                trials=len(played.results.trials),
                stopped=played.results.count("stopped"),
                epochs=played.epochs,
                hours=played.hours,
                value=played.value,
                regret=played.regret,
                unknown=len(played.unknown),
            )
        )
    return rows


def guess_space(curves: Curves) -> SearchSpace:
    """A search space over the ranges that the settings of `curves` have.

    Raises InputError where a setting is there in some trials only and no choice before it tells in which.
    """
    parameters: dict[str, Parameter] = {}
    for path in curves.paths:
        values = [one[path] for one in curves.settings if path in one]
        parameter = _guess(values)
        if len(values) < len(curves.settings):
            choices = [name for name, one in parameters.items() if isinstance(_plain(one), Choice)]
            on = _condition(path, choices, curves)
            parameters[path] = Condition(*on, parameter)
        else:
            parameters[path] = parameter
    return SearchSpace(parameters, base=curves.base, confirm=0, objectives=(curves.objective,))


def _replay_in_order(
    results: StudyResults, curves: Curves, stopping: Stopping, slots: int, shuffle: int | None
) -> Replay:
    """All settings of the search with the seeds that each was trained with, in their order or shuffled."""
    tried = [(dict(t.parameters), t.seed) for t in results.trials if t.phase == "search"]
    order = [
        (curves.settings.index(values), seed)
        for values, seed in tried
        if values in curves.settings and seed in curves.runs[curves.settings.index(values)]
    ]
    if len(order) < 2:
        raise InputError(f"study {results.name}: has {len(order)} trial with a curve; there is nothing to compare")
    if shuffle is not None:
        random.Random(shuffle).shuffle(order)
    arms = {f"setting {place}": values for place, values in enumerate(curves.settings)}
    design = _Recorded(arms, "setting 0", curves.base, stopping=stopping, objectives=(curves.objective,))
    return replay(curves, design, slots=slots, order=order)


@dataclass(frozen=True)
class _Recorded(Arms):
    """Arms whose trials are on record already, each with seeds of its own."""

    def __post_init__(self) -> None:
        pass

    @property
    def training_seeds(self) -> tuple[int, ...]:
        return ()


def _as_recorded(results: StudyResults, curves: Curves) -> ReplayRow:
    winner, best = results.winner, curves.value(curves.best)
    values = dict(winner.lead.parameters) if winner is not None else {}
    found = curves.value(curves.settings.index(values)) if values in curves.settings else curves.objective.worst
    return ReplayRow(
        name="as recorded",
        trials=len(results.trials),
        stopped=results.count("stopped"),
        epochs=sum(trial.epochs for trial in results.trials),
        hours=results.spent.hours,
        value=found,
        regret=abs(best - found),
        unknown=0,
    )


def _guess(values: Sequence[Value]) -> Float | Int | Choice:
    """What may have been searched, from what was drawn."""
    distinct = list(dict.fromkeys(values))
    numbers = [value for value in distinct if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(distinct) or len(distinct) <= _FEW:
        return Choice(*(sorted(numbers) if len(numbers) == len(distinct) else distinct))
    low, high = min(numbers), max(numbers)
    if isinstance(low, int) and isinstance(high, int):
        return Int(low, high, math.gcd(*(int(number) - low for number in numbers)))
    return Float(float(low), float(high), log=low > 0 and high / low > 10)


def _plain(parameter: Parameter) -> Float | Int | Choice:
    return parameter.then if isinstance(parameter, Condition) else parameter


def _condition(path: str, earlier: Sequence[str], curves: Curves) -> tuple[str, tuple[Value, ...]]:
    """The choice, and its values, under which `path` was searched."""
    for on in reversed(earlier):
        there = {repr(one.get(on)): one.get(on) for one in curves.settings if path in one and on in one}
        elsewhere = {repr(one.get(on)) for one in curves.settings if path not in one}
        if not there.keys() & elsewhere and all(on in one for one in curves.settings if path in one):
            return on, tuple(there.values())
    raise InputError(
        f"replay: {path} was searched in some trials only; give the search space, so that it is known in which"
    )
