"""A study in, the rows of its table of trials, and of its Pareto front, out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gkm.config import TrialConfig
from gkm.report.tables.cells import Cell, count, duration, number, setting_value
from gkm.report.tables.names import long_name, objective_head, objective_name, short_name
from gkm.study.design.objective import Objective
from gkm.study.record.results import StudyResults, TrialRow

PSNR_DIGITS, OTHER_DIGITS = 2, 3
_ALWAYS = ("val/psnr", "val/ssim")


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    title: str = ""
    """What it means, where that needs saying."""
    is_text: bool = False


@dataclass(frozen=True)
class StudyRow:
    """One trial."""

    number: int
    status: str
    is_best: bool
    cells: Sequence[Cell]
    """One for each of `heads`."""
    reason: str
    role: str = ""
    """What else it is: a confirmation, a part of the front."""


def heads(study: StudyResults) -> list[Head]:
    """The columns after number and status: what was reached, at what cost, with which settings."""
    found = [Head("PSNR (dB)"), Head("SSIM"), Head("epochs"), Head("time")]
    found += [Head(objective_head(o), objective_name(o)) for o in _more_objectives(study)]
    if _has_arms(study):
        found.append(Head("arm", is_text=True))
    if _has_seeds(study):
        found.append(Head("seed", "seed of training"))
    for path in study.parameters:
        cells = (setting_value(trial.parameters.get(path)) for trial in study.trials)
        found.append(Head(short_name(path), long_name(path), any(cell.is_text for cell in cells)))
    return found


def study_rows(study: StudyResults) -> list[StudyRow]:
    """All trials, the best first, then by the first objective; trials without a score come last.

    PSNR and SSIM are those of the epoch whose weights were kept.
    """
    best, sign = study.best, 1 if study.mode == "max" else -1
    front = {trial.number for trial in study.front} if len(study.objectives) > 1 else set()
    ranked = sorted(study.trials, key=lambda trial: (trial is not best, -sign * trial.score, trial.number))
    return [
        StudyRow(t.number, t.status, t is best, _cells(study, t), t.reason or "", _role(t, t.number in front))
        for t in ranked
    ]


def front_heads(study: StudyResults) -> list[Head]:
    """The columns of `front_rows` after the number."""
    found = [Head(objective_head(objective), objective_name(objective)) for objective in study.objectives]
    return [*found, *(heads(study)[-len(study.parameters) :] if study.parameters else [])]


def front_rows(study: StudyResults) -> list[StudyRow]:
    """The trials that no other one beats in all objectives, with their objectives and settings."""
    return [
        StudyRow(
            trial.number,
            trial.status,
            trial is study.best,
            [
                *(objective_cell(objective, trial.value(objective.metric)) for objective in study.objectives),
                *(setting_value(trial.parameters.get(path)) for path in study.parameters),
            ],
            "",
        )
        for trial in study.front
    ]


def objective_cell(objective: Objective, value: float | None) -> Cell:
    """A value of an objective."""
    if objective.metric in ("parameters", "multiply_adds"):
        return count(value)
    return number(value, PSNR_DIGITS if objective.unit == "dB" else OTHER_DIGITS)


def settings_rows(config: TrialConfig, searched: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Every setting as (path, value as one writes it with --set, whether the study searched it)."""
    return [
        (path, value if isinstance(value, str) else json.dumps(value), path in searched)
        for path, value in config.flat().items()
    ]


def in_words(trial: TrialRow) -> str:
    """The searched settings of a trial."""
    named = ((long_name(path).partition(",")[0], setting_value(value).text) for path, value in trial.parameters.items())
    return ", ".join(f"{name} = {text}" for name, text in named)


def seeds(study: StudyResults) -> list[int]:
    """The distinct seeds of the trials."""
    return sorted({trial.config.training.seed for trial in study.trials})


def _cells(study: StudyResults, trial: TrialRow) -> list[Cell]:
    kept = trial.best_epoch or {}
    cells = [
        number(kept.get("val/psnr"), PSNR_DIGITS),
        number(kept.get("val/ssim"), OTHER_DIGITS),
        Cell(f"{trial.epochs} / {trial.config.training.epochs}", trial.epochs),
        Cell(duration(trial.seconds), trial.seconds),
        *(objective_cell(objective, trial.value(objective.metric)) for objective in _more_objectives(study)),
    ]
    if _has_arms(study):
        cells.append(Cell(trial.arm or "", trial.arm, is_text=True))
    if _has_seeds(study):
        cells.append(Cell(str(trial.config.training.seed), trial.config.training.seed))
    return [*cells, *(setting_value(trial.parameters.get(path)) for path in study.parameters)]


def _role(trial: TrialRow, on_front: bool) -> str:
    words = ["on the front"] if on_front else []
    if trial.phase == "confirm":
        words.append(f"confirms setting {trial.group}")
    elif trial.group != trial.number and trial.arm is None:
        words.append(f"setting {trial.group}")
    return ", ".join(words)


def _more_objectives(study: StudyResults) -> list[Objective]:
    """Those that have no column anyway."""
    return [objective for objective in study.objectives if objective.metric not in _ALWAYS]


def _has_arms(study: StudyResults) -> bool:
    return study.kind == "arms" and any(trial.arm is not None for trial in study.trials)


def _has_seeds(study: StudyResults) -> bool:
    return len(seeds(study)) > 1 and "training.seed" not in study.parameters


def has_score(trial: TrialRow) -> bool:
    """Whether a trial was validated, with a number."""
    return trial.best_epoch is not None and math.isfinite(trial.score)
