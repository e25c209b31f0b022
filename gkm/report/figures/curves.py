"""A study in, its learning curves as inline SVG out."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, NullFormatter

from gkm.report.figures.svg import COLOURS, MARKERS, PANEL_INCHES, figure
from gkm.report.tables.cells import number
from gkm.report.tables.names import objective_name, short_name
from gkm.study.design.objective import Objective
from gkm.study.record.results import StudyResults, TrialRow

MOST_LABELLED_LINES = 12
Points = list[tuple[float, float]]


def validation_curves(study: StudyResults, blurred_psnr: float | None = None) -> Markup:
    """The first objective against the epoch: of the weights kept by then, and faintly that of every epoch.

    One line per trial; a dashed line for the blurred input if its PSNR is known.
    """
    objective = study.objectives[0]
    with figure(PANEL_INCHES) as (drawn, done):
        axes = drawn.subplots()
        if blurred_psnr is not None and objective.metric == "val/psnr":
            axes.axhline(blurred_psnr, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                f"blurred input, {blurred_psnr:.2f}",
                (1, blurred_psnr),
                xycoords=("axes fraction", "data"),
                xytext=(-2, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=10,
                color=COLOURS["muted"],
            )
        for trial in _in_order(study):
            epochs, values = _unzipped(_curve(trial, objective.metric))
            axes.plot(epochs, values, color=_colour(trial, study.best), linewidth=0.8, alpha=0.35)
        curves = {trial.number: _kept(trial, objective) for trial in study.trials}
        _draw(study, axes, curves, labelled=len(study.trials) <= MOST_LABELLED_LINES)
        axes.margins(y=0.1)
        axes.set_ylabel(objective_name(objective))
        description = f"{objective_name(objective)} of the weights kept against the epoch, one line per trial."
        return done(description, _titles(study, curves, 2 if objective.unit == "dB" else 4))


def loss_curves(study: StudyResults) -> Markup:
    """Training loss against the epoch on a logarithmic scale, one line per trial."""
    with figure(PANEL_INCHES) as (drawn, done):
        axes = drawn.subplots()
        curves = {trial.number: _curve(trial, "train/loss") for trial in study.trials}
        _draw(study, axes, curves)
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("training loss")
        return done("Training loss against the epoch, one line per trial.", _titles(study, curves, 4))


def _draw(study: StudyResults, axes: Any, curves: dict[int, Points], *, labelled: bool = False) -> None:
    """Other trials behind, the best in front; the marker at a line's end says how the trial ended."""
    best = study.best
    for trial in _in_order(study):
        if not curves[trial.number]:
            continue
        colour = _colour(trial, best)
        epochs, values = _unzipped(curves[trial.number])
        (line,) = axes.plot(epochs, values, color=colour, linewidth=2.4 if trial is best else 1.3)
        line.set_gid(f"trial-{trial.number}")
        axes.plot(epochs[-1:], values[-1:], MARKERS.get(trial.status, "o"), color=colour, markersize=6)
        if labelled:
            weight = "bold" if trial is best else "normal"
            text = axes.annotate(
                str(trial.number), (epochs[-1], values[-1]), (6, 0), textcoords="offset points", va="center"
            )
            text.set(fontsize=9.5, color=colour, fontweight=weight)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))


def _in_order(study: StudyResults) -> list[TrialRow]:
    """The best last, so that it lies on top."""
    return sorted(study.trials, key=lambda trial: (trial is study.best, trial.status == "finished"))


def _kept(trial: TrialRow, objective: Objective) -> Points:
    """The objective of the weights kept by each epoch: as reported, else the best so far."""
    points: Points = []
    for entry in trial.history:
        value = entry.get(f"best/{objective.metric}", entry.get(objective.metric))
        if value is None or not math.isfinite(value):
            continue
        if points and not objective.better(value, points[-1][1]):
            value = points[-1][1]
        points.append((entry["epoch"], value))
    return points


def _curve(trial: TrialRow, metric: str) -> Points:
    points = [(entry["epoch"], entry[metric]) for entry in trial.history if metric in entry]
    return [point for point in points if math.isfinite(point[1])]


def _unzipped(points: Points) -> tuple[list[float], list[float]]:
    return [epoch for epoch, _ in points], [value for _, value in points]


def _titles(study: StudyResults, curves: dict[int, Points], digits: int) -> dict[str, str]:
    """Tooltips: id of a line -> what it is."""
    titles = {}
    for trial in study.trials:
        if points := curves[trial.number]:
            settings = ", ".join(f"{short_name(path)} {value}" for path, value in trial.parameters.items())
            last = number(points[-1][1], digits).text
            titles[f"trial-{trial.number}"] = f"Trial {trial.number}, {trial.status}, last {last}: {settings}"
    return titles


def _colour(trial: TrialRow, best: TrialRow | None) -> str:
    if trial is best:
        return COLOURS["best"]
    return COLOURS.get(trial.status, COLOURS["stopped"])
