"""A study in, the tables that compare its settings out: arms, seeds, fresh seeds."""

from __future__ import annotations

import re
from typing import Any

from gkm.report.figures.bars import forest
from gkm.report.tables.cells import NOTHING, Cell, difference, interval
from gkm.report.tables.study_table import in_words, objective_cell
from gkm.study.insight.verdicts import ArmVerdict, Confirmation, arm_verdicts, scale_of, setting_rows
from gkm.study.record.results import StudyResults


def arms_section(study: StudyResults) -> dict[str, Any]:
    """An ablation's arms against their reference."""
    arms = arm_verdicts(study)
    drawn = forest([arm.comparison for arm in arms])
    rows = [
        {
            "name": arm.name,
            "kind": arm.kind,
            "sentence": in_print(arm.sentence),
            "changes": _changes(study, arm),
            "notes": "; ".join(arm.comparison.notes) if arm.comparison else "",
            **_arm_cells(study, arm),
            "picture": drawn.rows[place] if drawn else "",
        }
        for place, arm in enumerate(arms)
    ]
    scale = scale_of(study)
    return {
        "arms": rows,
        "arm_axis": drawn.axis if drawn else "",
        "arm_unit": scale.unit,
        "arm_effect": f"{scale.effect:g}",
        "reference": study.reference or "",
        "objective_head": _unit_head(study),
    }


def seeds_section(study: StudyResults) -> dict[str, Any]:
    """Settings that were searched with several seeds; an ablation has its arms instead."""
    objective, found = study.objectives[0], setting_rows(study)
    rows = []
    for row in found if study.kind != "arms" and any(row.seeds > 1 for row in found) else []:
        searched, fresh = (None if i is None else i.mean for i in (row.searched, row.fresh))
        digits = digits_of(study)
        cells = [
            Cell(str(row.seeds), row.seeds),
            objective_cell(objective, searched),
            interval(row.searched, digits),
            Cell(str(row.fresh_seeds), row.fresh_seeds),
            objective_cell(objective, fresh),
            interval(row.fresh, digits),
        ]
        rows.append({"number": row.setting.number, "settings": in_words(row.setting.lead), "cells": cells})
    return {"setting_rows": rows}


def confirmed_rows(study: StudyResults, confirmed: Confirmation | None) -> list[dict[str, Any]]:
    """The settings that were trained again, best first."""
    if confirmed is None:
        return []
    objective, digits = study.objectives[0], digits_of(study)
    return [
        {
            "number": one.setting.number,
            "is_best": one.setting.number == confirmed.winner,
            "was_best": one.setting.number == confirmed.first_winner,
            "cells": [
                objective_cell(objective, one.first),
                objective_cell(objective, one.fresh.mean),
                interval(one.fresh, digits),
                Cell(str(one.seeds), one.seeds),
                Cell(difference(one.flattery, digits).text, one.flattery),
            ],
        }
        for one in confirmed.settings
    ]


def digits_of(study: StudyResults) -> int:
    """After the point, of the first objective."""
    return 2 if study.objectives[0].unit == "dB" else 3


def _arm_cells(study: StudyResults, arm: ArmVerdict) -> dict[str, Cell]:
    compared = arm.comparison
    found = None if compared is None else compared.difference
    mean = None if arm.interval is None else arm.interval.mean
    p_value = None if found is None else found.p_value
    if compared is not None and compared.adjusted_p is not None:
        p_value = compared.adjusted_p
    seeds = f"{arm.seeds}" if arm.seeds == arm.trials else f"{arm.seeds} of {arm.trials}"
    p_text = NOTHING if p_value is None else "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"
    return {
        "difference": Cell(NOTHING) if found is None else Cell(difference(found.mean, 2).text, found.mean),
        "p_value": Cell(p_text, p_value),
        "mean": objective_cell(study.objectives[0], mean),
        "interval": interval(arm.interval, digits_of(study)),
        "seeds": Cell(seeds, arm.seeds),
    }


def in_print(sentence: str) -> str:
    """A verdict with proper minus signs; names such as "width-8" keep their hyphens."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", sentence)


def _changes(study: StudyResults, arm: ArmVerdict) -> str:
    lead = next(setting.lead for setting in study.settings if setting.number == arm.number)
    return in_words(lead)


def _unit_head(study: StudyResults) -> str:
    unit = study.objectives[0].unit
    return f"mean ({unit})" if unit else "mean"
