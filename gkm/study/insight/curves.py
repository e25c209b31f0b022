"""Recorded or made learning curves in, one table of settings, seeds and epochs out, to play studies against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from gkm import storage
from gkm.config import TrialConfig, setting_paths
from gkm.errors import InputError
from gkm.study.design.objective import PSNR, Objective
from gkm.study.design.space import SearchSpace, Value
from gkm.study.record.results import StudyResults

Array = np.ndarray[Any, np.dtype[np.float64]]
Settings = Mapping[str, Value]
Surface = Callable[[Settings, np.random.Generator], tuple[Array, Array]]
"""Settings and a source of noise -> the first objective after each epoch, and the seconds that each epoch takes."""
_LOG_RATIO = 10.0
"""Positive numbers that span more than this factor are compared by their logarithms."""


@dataclass(frozen=True)
class Run:
    """One setting trained with one seed, as far as it was recorded."""

    epochs: tuple[int, ...]
    metrics: Mapping[str, Array]
    """Metric -> its values at `epochs`; "seconds" are those since the start."""

    def at(self, place: int) -> dict[str, float]:
        """What was reported at the `place`-th validated epoch."""
        return {name: float(values[place]) for name, values in self.metrics.items()} | {"epoch": self.epochs[place]}


class Curves:
    """Curves of many settings, each with one seed or several."""

    def __init__(
        self,
        settings: Sequence[Settings],
        runs: Sequence[Mapping[int, Run]],
        *,
        epochs: int,
        objective: Objective = PSNR,
        base: TrialConfig | None = None,
    ) -> None:
        if not settings:
            raise InputError("curves: there are none; record a study of some trials first")
        self.settings, self.runs = tuple(dict(one) for one in settings), tuple(dict(one) for one in runs)
        self.epochs, self.objective, self.base = epochs, objective, base or TrialConfig()
        """`epochs`: length of a trial that is never stopped; `base`: what all settings share."""
        self._columns = [_Column(path, self.settings) for path in self.paths]

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Dotted paths of what the settings vary."""
        return tuple(dict.fromkeys(path for settings in self.settings for path in settings))

    def nearest(self, values: Settings, among: Sequence[int] | None = None) -> int:
        """The setting closest to `values`, each path scaled to the range that it has in the table."""
        distances: Array = np.zeros(len(self.settings))
        for column in self._columns:
            distances += column.distances(values)
        if among is None:
            return int(distances.argmin())
        return int(among[int(distances[list(among)].argmin())])

    def run(self, setting: int, seed: int) -> Run:
        """A setting trained with `seed`; with one of the recorded ones in its place where it was not."""
        runs = self.runs[setting]
        return runs[seed] if seed in runs else runs[sorted(runs)[seed % len(runs)]]

    def is_whole(self, setting: int) -> bool:
        """Whether a setting was trained to the last epoch, with every seed recorded."""
        return all(run.epochs[-1] >= self.epochs for run in self.runs[setting].values())

    def value(self, setting: int) -> float:
        """What a setting gives when it is trained in full, or as far as known: the mean over its seeds."""
        return self._values[setting]

    @cached_property
    def best(self) -> int:
        """The setting whose full training gives the best value."""
        sign = 1 if self.objective.mode == "max" else -1
        return max(range(len(self.settings)), key=lambda setting: (sign * self.value(setting), -setting))

    @cached_property
    def _values(self) -> list[float]:
        metric = f"best/{self.objective.metric}"
        return [fmean(float(run.metrics[metric][-1]) for run in runs.values()) for runs in self.runs]

    # Where they come from

    @classmethod
    def from_study(cls, results: StudyResults) -> Curves:
        """The trials of a recorded study that were validated at least once."""
        objective = results.objectives[0]
        rows = [trial for trial in results.trials if trial.history and trial.best_epoch is not None]
        table: dict[str, tuple[Settings, dict[int, Run]]] = {}
        for trial in rows:
            values: dict[str, Any] = dict(trial.parameters)
            key = repr(sorted(values.items()))
            run = _run([dict(metrics) for metrics in trial.history], objective)
            _, runs = table.setdefault(key, (values, {}))
            if trial.seed not in runs or run.epochs[-1] > runs[trial.seed].epochs[-1]:
                runs[trial.seed] = run
        if not table:
            raise InputError(f"study {results.name}: has no trial with a curve to replay; train some first")
        epochs = rows[0].config.training.epochs
        settings = [one for one, _ in table.values()]
        without = {path: [row for row in rows if path not in row.parameters] for one in settings for path in one}
        # Another network has no such setting, so that nothing needs to be said of it.
        known = rows[0].config.flat()
        plain = {
            path: having[0].config.flat().get(path, known[path])
            for path, having in without.items()
            if having and path in known
        }
        base = rows[0].config.with_values(plain, source=f"study {results.name}")
        return cls(settings, [of for _, of in table.values()], epochs=epochs, objective=objective, base=base)

    @classmethod
    def from_table(cls, path: Path, objective: Objective = PSNR, epochs: int | None = None) -> Curves:
        """A Parquet or CSV file with a row for each setting, seed and epoch.

        Its columns are dotted setting paths, "seed", "epoch", metrics and, if known, "seconds" since the trial's start.
        """
        columns = _read_columns(path)
        for needed in ("epoch", objective.metric):
            if needed not in columns:
                raise InputError(f"{path}: has no column {needed}; it has {', '.join(columns)}")
        known = setting_paths()
        paths = [name for name in columns if name in known and name != "training.seed"]
        seeds = columns.get("seed", columns.get("training.seed", [0] * len(columns["epoch"])))
        metrics = [name for name in columns if name not in (*known, "seed")]
        table: dict[str, tuple[Settings, dict[int, list[dict[str, float]]]]] = {}
        for row, seed in enumerate(seeds):
            values = {name: columns[name][row] for name in paths if not _is_missing(columns[name][row])}
            _, entries = table.setdefault(repr(sorted(values.items())), (values, {}))
            entry = {name: float(columns[name][row]) for name in metrics if not _is_missing(columns[name][row])}
            entries.setdefault(int(seed), []).append(entry)
        runs = [{seed: _run(rows, objective) for seed, rows in entries.items()} for _, entries in table.values()]
        last = max(run.epochs[-1] for of in runs for run in of.values()) if runs else 0
        return cls([values for values, _ in table.values()], runs, epochs=epochs or last, objective=objective)

    @classmethod
    def from_surface(
        cls, space: SearchSpace, surface: Surface, *, count: int = 500, seeds: int = 3, random: int = 0
    ) -> Curves:
        """`count` settings drawn from `space`, with curves that `surface` makes up."""
        draws = np.random.default_rng(random)
        objective, settings, runs = space.objectives[0], [], []
        for index in range(count):
            values = space.suggest(_Uniform(draws))
            settings.append(values)
            by_seed = {}
            for seed in range(seeds):
                heights, seconds = surface(values, np.random.default_rng((random, index, seed)))
                rows = [
                    {"epoch": float(epoch), objective.metric: float(height), "seconds": float(since)}
                    for epoch, (height, since) in enumerate(zip(heights, np.cumsum(seconds), strict=True), start=1)
                ]
                by_seed[seed] = _run(rows, objective)
            runs.append(by_seed)
        epochs = space.base.training.epochs
        return cls(settings, runs, epochs=epochs, objective=objective, base=space.base)

    def write(self, path: Path) -> None:
        """The table as a Parquet or CSV file, as `from_table` reads it."""
        import pyarrow as pa
        from pyarrow import csv, parquet

        rows = [
            {**settings, "seed": seed, **run.at(place)}
            for settings, runs in zip(self.settings, self.runs, strict=True)
            for seed, run in runs.items()
            for place in range(len(run.epochs))
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
        with storage.replacing(path) as partial:
            if path.suffix == ".csv":
                csv.write_csv(table, partial)
            else:
                parquet.write_table(table, partial)


class _Column:
    """One path of all settings, scaled to [0, 1] if it is a number, else as it is."""

    def __init__(self, path: str, settings: Sequence[Settings]) -> None:
        self._path = path
        values = [one.get(path, _ABSENT) for one in settings]
        present = [value for value in values if value is not _ABSENT]
        self._is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)
        self._values: Any
        if self._is_number:
            numbers = [float(value) for value in present]
            low, high = min(numbers), max(numbers)
            self._log = low > 0 and high / low > _LOG_RATIO
            self._low, self._span = self._plain(low), (self._plain(high) - self._plain(low)) or 1.0
            self._values = np.array([self._scaled(value) for value in values])
        else:
            self._values = np.array([repr(value) for value in values])

    def distances(self, values: Settings) -> Array:
        """Squared distances of `values` from all settings; 1 between there and not there, or between two choices."""
        value = values.get(self._path, _ABSENT)
        if not self._is_number:
            return np.asarray(self._values != repr(value), dtype=np.float64)
        own = self._scaled(value)
        if np.isnan(own):
            return np.asarray(~np.isnan(self._values), dtype=np.float64)
        return np.asarray(np.nan_to_num((self._values - own) ** 2, nan=1.0), dtype=np.float64)

    def _scaled(self, value: object) -> float:
        if not isinstance(value, int | float):
            return float("nan")
        return (self._plain(float(value)) - self._low) / self._span

    def _plain(self, value: float) -> float:
        return float(np.log(value)) if self._log else value


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT: Any = _Absent()


class _Uniform:
    """Draws at random."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        if log:
            return float(np.exp(self._generator.uniform(np.log(low), np.log(high))).clip(low, high))
        return float(self._generator.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        return low + step * int(self._generator.integers((high - low) // step + 1))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return choices[int(self._generator.integers(len(choices)))]


def _run(rows: list[dict[str, float]], objective: Objective) -> Run:
    """A run of its reports, by epoch; what the kept weights score is added where it was not reported."""
    rows = sorted((row for row in rows if objective.metric in row or f"best/{objective.metric}" in row), key=_epoch)
    kept, best = f"best/{objective.metric}", objective.worst
    names = set(rows[0]).intersection(*rows) if rows else set()
    for row in rows:
        best = objective.best([best, row.get(kept, row.get(objective.metric, best))])
        row[kept] = best
        row.setdefault("seconds", row["epoch"])
    wanted = sorted((names - {"epoch"}) | {kept, "seconds"})
    metrics = {name: np.array([row[name] for row in rows]) for name in wanted}
    return Run(tuple(int(row["epoch"]) for row in rows), metrics)


def _epoch(row: Mapping[str, float]) -> float:
    return row["epoch"]


def _read_columns(path: Path) -> dict[str, list[Any]]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such table; give a Parquet or CSV file")
    import pyarrow as pa

    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            table = csv.read_csv(path)
        else:
            from pyarrow import parquet

            table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: is no table that can be read ({reason}); give a Parquet or CSV file") from None
    found: dict[str, list[Any]] = table.to_pydict()
    return found


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))
