"""A study in; what was searched against what was reached, as inline SVG, out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from gkm.report.figures.svg import COLOURS, MARKERS, PANEL_INCHES, SCORE_LEVELS, figure
from gkm.report.tables.cells import setting_value
from gkm.report.tables.names import long_name, objective_head, objective_name, short_name
from gkm.report.tables.study_table import has_score, in_words, objective_cell
from gkm.study.insight.insight import is_logarithmic
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import SCORED

SMALL_PANEL_INCHES = (2.3, 1.9)
PARALLEL_INCHES = (8.6, 3.7)
MOST_TICKS = 6
FEW_CHOICES = 6
"""So many different values stand side by side, each with its name."""


def parameter_panels(study: StudyResults) -> list[tuple[str, Markup]]:
    """One panel per searched parameter with two values or more: the parameter against the first objective."""
    trials = [trial for trial in study.trials if has_score(trial)]
    panels = []
    for path in study.parameters:
        values = [(trial.parameters[path], trial) for trial in trials if path in trial.parameters]
        if len({str(value) for value, _ in values}) > 1:
            panels.append((long_name(path), _panel(study, path, values)))
    return panels


def parallel_coordinates(study: StudyResults) -> Markup | None:
    """One line per setting across all searched parameters to its score, whose shade says how good it is.

    None with fewer than two parameters that vary, or than three settings with a score.
    """
    leads = [setting.lead for setting in study.settings if has_score(setting.lead)]
    axes_of = [axis for path in study.parameters if (axis := _axis(path, leads)) is not None]
    if len(axes_of) < 2 or len(leads) < 3:
        return None
    objective, winner = study.objectives[0], study.winner
    sign = 1 if objective.mode == "max" else -1
    ranked = sorted(leads, key=lambda trial: sign * trial.score)
    low, high = min(t.score for t in leads), max(t.score for t in leads)
    with figure(PARALLEL_INCHES, (0.05, 0.05, 0.05, 0.05)) as (drawn, done):
        axes = drawn.subplots()
        titles = {}
        for place, trial in enumerate(ranked):
            is_best = winner is not None and trial.number == winner.number
            level = place * (SCORE_LEVELS - 1) // max(1, len(ranked) - 1)
            colour = COLOURS["best"] if is_best else COLOURS[f"score-{level}"]
            heights = [axis.height(trial.parameters.get(axis.path)) for axis in axes_of]
            heights.append((trial.score - low) / (high - low) if high > low else 0.5)
            (line,) = axes.plot(
                range(len(heights)), heights, color=colour, linewidth=2.6 if is_best else 1.4, zorder=3 + is_best
            )
            line.set_gid(f"setting-{trial.number}")
            score = objective_cell(objective, trial.score).text
            titles[f"setting-{trial.number}"] = f"Setting {trial.number}, {trial.status}, {score}: {in_words(trial)}"
        for place, axis in enumerate(axes_of):
            _draw_axis(axes, place, axis.name, axis.ticks)
        digits = 2 if objective.unit == "dB" else 4
        ends = [(f"{low:.{digits}f}", 0.0), (f"{high:.{digits}f}", 1.0)] if high > low else [(f"{low:.{digits}f}", 0.5)]
        _draw_axis(axes, len(axes_of), objective_head(objective), ends)
        axes.set_xlim(-0.3, len(axes_of) + 0.55)
        axes.set_ylim(-0.08, 1.16)
        axes.axis("off")
        return done("Parallel coordinates: one line per setting, from its settings to its score.", titles)


def front_panels(study: StudyResults) -> list[tuple[str, Markup]]:
    """The first objective against each other one, with the Pareto front; none for a single objective."""
    if len(study.objectives) < 2:
        return []
    first = study.objectives[0]
    return [
        (f"{objective_name(first)} against {objective_name(other)}", _front_panel(study, place))
        for place, other in enumerate(study.objectives[1:], 1)
    ]


def _front_panel(study: StudyResults, place: int) -> Markup:
    upright, across = study.objectives[0], study.objectives[place]
    front = {trial.number for trial in study.front}
    with figure(PANEL_INCHES) as (drawn, done):
        axes = drawn.subplots()
        points, seen, titles = [], [], {}
        for trial in study.trials:
            x, y = trial.value(across.metric), trial.value(upright.metric)
            if x is None or y is None or trial.status not in SCORED:
                continue
            seen.append(x)
            on_front = trial.number in front
            colour = COLOURS["best" if on_front else trial.status]
            (mark,) = axes.plot([x], [y], MARKERS[trial.status], color=colour, markersize=8 if on_front else 6)
            mark.set_gid(f"point-{trial.number}")
            titles[f"point-{trial.number}"] = f"Trial {trial.number}: {in_words(trial)}"
            if on_front:
                points.append((x, y))
                axes.annotate(str(trial.number), (x, y), (5, 5), textcoords="offset points", fontsize=9.5)
        if len(study.objectives) == 2:
            xs, ys = zip(*sorted(points), strict=True) if points else ((), ())
            axes.plot(xs, ys, color=COLOURS["best"], linewidth=1.2, alpha=0.6, zorder=1)
        if is_logarithmic(seen):
            _logarithmic(axes, seen)
        axes.set_xlabel(objective_name(across))
        axes.set_ylabel(objective_name(upright))
        axes.margins(0.1)
        return done(f"{objective_name(upright)} against {objective_name(across)}, one point per trial.", titles)


def _panel(study: StudyResults, path: str, values: Sequence[tuple[Any, TrialRow]]) -> Markup:
    best, choices = study.best, _in_order([value for value, _ in values])
    few = len(choices) <= FEW_CHOICES or not _is_numeric(choices)
    names = [_tick(choice).replace(" ", "\n") for choice in choices]
    lines = max(name.count("\n") for name in names) if few else 0
    with figure(SMALL_PANEL_INCHES, (0.42, 0.25 + 0.15 * lines, 0.06 if few else 0.18, 0.06)) as (drawn, done):
        axes = drawn.subplots()
        for value, trial in sorted(values, key=lambda entry: entry[1] is best):
            place = choices.index(value) if few else value
            colour = COLOURS["best"] if trial is best else COLOURS.get(trial.status, COLOURS["stopped"])
            size = 8 if trial is best else 6
            axes.plot([place], [trial.score], MARKERS.get(trial.status, "o"), color=colour, markersize=size, alpha=0.9)
        if few:
            axes.set_xticks(range(len(choices)), names, fontsize=9)
            axes.set_xlim(-0.5, len(choices) - 0.5)
        elif min(choices) > 0 and max(choices) / min(choices) > 5:
            _logarithmic(axes, choices)
        axes.tick_params(labelsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        return done(f"{objective_name(study.objectives[0])} of every trial against {long_name(path)}.")


def _logarithmic(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic scale, with a tick at each power of ten where `values` span decades."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if is_logarithmic(values) else (1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class _Axis:
    """One of the upright axes of parallel coordinates."""

    path: str
    choices: Sequence[Any]
    """Options to stand evenly; empty for a range."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def name(self) -> str:
        return short_name(self.path)

    def height(self, value: Any) -> float:
        """From 0 to 1; below the axis where a setting was not searched."""
        if value is None and value not in self.choices:
            return -0.06
        if self.choices:
            return self.choices.index(value) / (len(self.choices) - 1)
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))

    @property
    def ticks(self) -> list[tuple[str, float]]:
        if self.choices:
            shown = self.choices if len(self.choices) <= MOST_TICKS else (self.choices[0], self.choices[-1])
            return [(_tick(choice), self.height(choice)) for choice in shown]
        return [(_tick(value), self.height(value)) for value in (self.low, self.high)]


def _axis(path: str, trials: Sequence[TrialRow]) -> _Axis | None:
    """None where all trials that have the setting have the same."""
    choices = _in_order([trial.parameters[path] for trial in trials if path in trial.parameters])
    if len(choices) < 2:
        return None
    if len(choices) > FEW_CHOICES and _is_numeric(choices):
        return _Axis(path, (), choices[0], choices[-1], is_logarithmic(choices) or choices[-1] > 5 * choices[0] > 0)
    return _Axis(path, choices)


def _draw_axis(axes: Any, place: int, name: str, ticks: Sequence[tuple[str, float]]) -> None:
    axes.plot([place, place], [0, 1], color=COLOURS["muted"], linewidth=1, zorder=2)
    axes.text(place, 1.07, name, ha="center", va="bottom", fontsize=10, color=COLOURS["ink"])
    for text, height in ticks:
        axes.plot([place], [height], "_", color=COLOURS["muted"], markersize=7, zorder=2)
        label = axes.text(place + 0.04, height, text, ha="left", va="center", fontsize=9, color=COLOURS["muted"])
        label.set(zorder=6, bbox={"facecolor": COLOURS["surface"], "edgecolor": "none", "alpha": 0.75, "pad": 0.8})


def _in_order(values: Sequence[Any]) -> list[Any]:
    """The different values, numbers by size and all else by name."""
    distinct = list({repr(value): value for value in values}.values())
    return sorted(distinct) if _is_numeric(distinct) else sorted(distinct, key=str)


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _tick(value: Any) -> str:
    return setting_value(value).text
