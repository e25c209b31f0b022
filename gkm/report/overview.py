"""Several studies in; one self-contained page that sets their winners side by side, and pairs them, out.

Nothing is trained or scored for it: all of it is on record, on validation photographs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from gkm import storage
from gkm.errors import InputError
from gkm.report.page import assets, environment
from gkm.report.tables.cells import NOTHING, Cell, count, difference, interval, number
from gkm.report.tables.comparisons import digits_of, in_print
from gkm.report.tables.names import objective_head
from gkm.report.tables.study_table import in_words, objective_cell
from gkm.report.verdict import shown_score, validation_gain
from gkm.study.insight.comparison import Side, compare, find_side
from gkm.study.insight.pairing import Comparison
from gkm.study.insight.statistics import holm
from gkm.study.insight.verdicts import confirmation, setting_name
from gkm.study.record.results import StudyResults


@dataclass(frozen=True)
class Versus:
    """Two winners, and which is the better; or why they cannot be compared."""

    one: str
    other: str
    comparison: Comparison | None
    refusal: str = ""

    @property
    def sentence(self) -> str:
        return self.refusal if self.comparison is None else in_print(self.comparison.sentence)


def build_overview(
    studies: Sequence[StudyResults], out: str | Path, pages: Mapping[str, str | Path] | None = None
) -> Path:
    """Write the page on `studies` to the file `out`, whole or not at all, and return its place.

    Args:
        pages: study -> its own report page, to be linked where there is one.

    Raises InputError for fewer than two studies, for one that is named twice, and if `out` cannot be written.
    """
    names = [study.name for study in studies]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{', '.join(names) or 'no study'}: an overview is of two studies or more, each named once")
    found = versus(studies)
    context = {
        **assets(),
        "names": names,
        "objective": objective_head(studies[0].objectives[0]),
        "rows": [_row(study, _link(out, (pages or {}).get(study.name))) for study in studies],
        "versus": [
            {
                "one": pair.one,
                "other": pair.other,
                "kind": "no verdict" if pair.comparison is None else pair.comparison.kind,
                "sentence": pair.sentence,
                "notes": "; ".join(pair.comparison.notes) if pair.comparison else "",
                "difference": _difference(pair),
            }
            for pair in found
        ],
    }
    page = environment().get_template("overview.html.jinja").render(**context)
    storage.write_bytes(out, page.encode())
    return Path(out)


def versus(studies: Sequence[StudyResults]) -> list[Versus]:
    """All pairs of winners; p-values allow for the number of pairs (Holm)."""
    sides: dict[str, Side | str] = {}
    for study in studies:
        try:
            sides[study.name] = find_side(study.name, {study.name: study}.__getitem__)
        except InputError as error:
            sides[study.name] = str(error)
    told = [
        _compared(one.name, sides[one.name], other.name, sides[other.name]) for one, other in combinations(studies, 2)
    ]
    p_values = [_p_value(pair) for pair in told]
    adjusted = iter(holm([value for value in p_values if value is not None]))
    count_of = sum(value is not None for value in p_values)
    return [
        pair if value is None else _again(pair, sides[pair.one], sides[pair.other], next(adjusted), count_of)
        for pair, value in zip(told, p_values, strict=True)
    ]


def _compared(
    one: str, first: Side | str, other: str, second: Side | str, adjusted_p: float | None = None, pairs: int = 1
) -> Versus:
    for side in (first, second):
        if isinstance(side, str):
            return Versus(one, other, None, side)
    assert isinstance(first, Side)
    assert isinstance(second, Side)
    try:
        return Versus(one, other, compare(first, second, adjusted_p, pairs))
    except InputError as error:
        return Versus(one, other, None, str(error))


def _again(pair: Versus, first: Side | str, second: Side | str, adjusted_p: float, pairs: int) -> Versus:
    return _compared(pair.one, first, pair.other, second, adjusted_p, pairs) if pairs > 1 else pair


def _p_value(pair: Versus) -> float | None:
    if pair.comparison is None or pair.comparison.difference is None:
        return None
    return pair.comparison.difference.p_value


def _difference(pair: Versus) -> Cell:
    found = pair.comparison.difference if pair.comparison else None
    return Cell(NOTHING) if found is None else Cell(difference(found.mean, 2).text, found.mean)


def _row(study: StudyResults, link: str) -> dict[str, Any]:
    winner, objective = study.winner, study.objectives[0]
    confirmed = confirmation(study)
    gain = validation_gain(study)
    fresh = confirmed.best if confirmed else None
    return {
        "name": study.name,
        "link": link,
        "kind": {"search": "search", "arms": "ablation"}.get(study.kind, study.kind),
        "status": study.status,
        "winner": NOTHING if winner is None else setting_name(winner),
        "settings": "" if winner is None else in_words(winner.lead),
        "blurred": f"blurred {number(fmean(study.blurred), 2).text} dB" if study.blurred else "",
        "cells": [
            count(len(study.trials)),
            count(study.spent.epochs or sum(trial.epochs for trial in study.trials)),
            number(sum(trial.seconds for trial in study.trials) / 3600, 2),
            objective_cell(objective, None if winner is None else shown_score(study)),
            interval(fresh.fresh if fresh else None, digits_of(study)),
            Cell(str(fresh.seeds) if fresh else NOTHING, fresh.seeds if fresh else None),
            Cell(NOTHING) if gain is None else difference(gain, 2),
        ],
    }


def _link(out: str | Path, page: str | Path | None) -> str:
    """From the page at `out` to another beside it; empty where there is none."""
    if page is None or storage.is_remote(str(out)) or not Path(page).is_file():
        return ""
    return Path(os.path.relpath(page, Path(out).absolute().parent)).as_posix()
