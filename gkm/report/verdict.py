"""A study in; what it has shown, how far that reaches and what it took, as the page says it first, out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from gkm.report.tables.cells import Cell, count, difference, number
from gkm.report.tables.comparisons import confirmed_rows, digits_of, in_print
from gkm.report.tables.names import objective_name
from gkm.report.tables.study_table import in_words, objective_cell
from gkm.study.insight.pairing import scene_note
from gkm.study.insight.verdicts import (
    ArmVerdict,
    Confirmation,
    against_baseline,
    arm_verdicts,
    confirmation,
    setting_name,
)
from gkm.study.record.results import StudyResults


@dataclass(frozen=True)
class Tile:
    """A figure worth a large letter."""

    title: str
    text: str
    unit: str = ""
    sub: str = ""
    verdict: str = ""


def verdict_section(study: StudyResults) -> dict[str, Any]:
    """What the page shows first."""
    confirmed, arms = confirmation(study), arm_verdicts(study)
    return {
        "state": _state(study),
        "verdict_text": _sentences(study, confirmed, arms),
        "verdict_tiles": _tiles(study, confirmed),
        "verdict_notes": _notes(study),
        "confirmed_rows": confirmed_rows(study, confirmed),
        "spending": spending(study),
    }


def spending(study: StudyResults) -> list[tuple[str, list[Cell]]]:
    """What was planned, what was allowed and what was spent: a label and three cells each."""
    limits, spent, planned = study.budget.to_json(), study.spent, study.planned
    trained = sum(trial.seconds for trial in study.trials) / 3600
    rows: list[tuple[str, float | None, float | None, float | None, int]] = [
        ("settings tried", None, limits["trials"], spent.trials, 0),
        ("trial epochs", planned.get("trial_epochs"), limits["epochs"], spent.epochs, 0),
        ("device hours", planned.get("device_hours"), None, trained, 2),
        ("hours from start to end", None, limits["hours"], spent.hours, 2),
        ("cost", planned.get("cost"), limits["cost"], spent.cost or None, 2),
    ]
    return [
        (label, [number(value, digits) for value in values])
        for label, *values, digits in rows
        if label != "cost" or any(value is not None for value in values)
    ]


def _state(study: StudyResults) -> str:
    """Why the page does not tell the whole story; empty where it does."""
    if study.status != "finished":
        why = f": {study.reason}" if study.reason else ""
        word = "is still running" if study.status == "running" else f"is {study.status}"
        word = "has failed" if study.status == "failed" else word
        return f"This study {word}{why}. The page shows what there was when it was written."
    return f"It ended before all its trials: {study.reason}." if study.reason else ""


def _sentences(study: StudyResults, confirmed: Confirmation | None, arms: list[ArmVerdict]) -> list[str]:
    if study.winner is None:
        return ["No trial was validated, so there is nothing to choose from."]
    if study.kind == "arms":
        return [_arms_in_short(study, arms)]
    told = [_best_in_words(study, confirmed)]
    compared = against_baseline(study)
    if compared is not None:
        name = f"{compared.name[:1].upper()}{compared.name[1:]}"
        told.append(f"{name} against {compared.reference}, the first that was tried: {in_print(compared.sentence)}.")
    return told


def _best_in_words(study: StudyResults, confirmed: Confirmation | None) -> str:
    winner = study.winner
    assert winner is not None
    settings = in_words(winner.lead)
    of = f"the best of {len(study.settings)} settings" if len(study.settings) > 1 else "the only one"
    name = setting_name(winner)
    if len(study.objectives) > 1:
        text = f"By {objective_name(study.objectives[0])} alone, {name} is {of}"
    else:
        text = f"{name[:1].upper()}{name[1:]} is {of}"
    text += f" ({settings}). " if settings else ". "
    if confirmed is not None:
        return text + confirmed.sentence
    told = study.objectives[0].text(shown_score(study))
    seeds = len(winner.scores("search"))
    how = f"the mean of {seeds} seeds" if seeds > 1 else "of a single run"
    text += f"Its score on validation is {told}, {how}. "
    if len(study.settings) == 1:
        return text
    flatters = "Not confirmed: the best of several noisy scores is too high on average"
    return f"{text}{flatters}; runs with fresh seeds would tell by how much."


def _arms_in_short(study: StudyResults, arms: list[ArmVerdict]) -> str:
    words = {
        "better": "Better",
        "worse": "Worse",
        "equivalent": "No difference that matters",
        "undecided": "Undecided",
        "no verdict": "No verdict",
    }
    named = {word: [arm.name for arm in arms if arm.kind == kind] for kind, word in words.items()}
    parts = [f"{word}: {', '.join(names)}." for word, names in named.items() if names]
    return f"Against the reference “{study.reference}”. {' '.join(parts) or 'There is no other arm.'}"


def _tiles(study: StudyResults, confirmed: Confirmation | None) -> list[Tile]:
    winner, objective = study.winner, study.objectives[0]
    if winner is None:
        return []
    tiles = []
    score = objective_cell(objective, shown_score(study)).text
    if study.kind == "arms":
        tiles.append(Tile("Best arm on validation", score, objective.unit, setting_name(winner)))
    elif confirmed is None:
        tiles.append(Tile("Best on validation", score, objective.unit, "not confirmed with fresh seeds"))
    else:
        many = confirmed.best.seeds
        sub = f"{setting_name(winner)}, {many} fresh seed{'s' if many > 1 else ''}"
        tiles.append(Tile("Best on validation, confirmed", score, objective.unit, sub))
        flattery = difference(confirmed.best.flattery, digits_of(study))
        first = objective_cell(objective, confirmed.best.first).text
        tiles.append(Tile("Its first score flattered by", flattery.text, objective.unit, f"first {first}"))
    gain = validation_gain(study)
    if gain is not None:
        shown = difference(gain, 2)
        blurred = f"blurred {number(fmean(study.blurred), 2).text}, on validation"
        tiles.append(Tile("Gain over the blurred input", shown.text, "dB", blurred, shown.verdict or ""))
    planned = study.planned.get("trial_epochs")
    epochs = study.spent.epochs or sum(trial.epochs for trial in study.trials)
    tiles.append(Tile("Trial epochs", count(epochs).text, "", f"{count(planned).text} planned" if planned else ""))
    return tiles


def validation_gain(study: StudyResults) -> float | None:
    """Mean PSNR of the winner on validation over that of the blurred input, in dB; by fresh seeds where it has any."""
    if study.winner is None or not study.blurred:
        return None
    values = [value for trial in study.winner.judged if (value := trial.value("val/psnr")) is not None]
    return fmean(values) - fmean(study.blurred) if values else None


def shown_score(study: StudyResults) -> float:
    """Mean score of the winner: by fresh seeds where it has any. The study has a winner."""
    assert study.winner is not None
    return fmean(trial.score for trial in study.winner.judged)


def _notes(study: StudyResults) -> list[str]:
    """What limits the verdicts."""
    compared = against_baseline(study)
    notes = [note for note in (scene_note(study),) if note] if study.kind == "arms" or compared else []
    if compared is not None:
        notes += compared.notes
    return [f"{note[:1].upper()}{note[1:]}." for note in notes]
