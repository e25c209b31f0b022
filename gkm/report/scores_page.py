"""The tables of an evaluation in; one self-contained page with its figures and tables out.

What others published is on the page only where it is marked so: in panels and rows of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gkm import storage
from gkm.report.claims import claim_notes, claims_of, where_published
from gkm.report.figures.noise_figures import noise_panels
from gkm.report.figures.series import BLURRED_STYLE, Style, style_of
from gkm.report.figures.tradeoff import Level, Mark, tradeoff
from gkm.report.noise_curves import curves_of_lines
from gkm.report.page import assets, environment
from gkm.report.tables.gains import around
from gkm.scoring.lines import Line, ScoreTable
from gkm.scoring.rendering import HEADINGS, cells_of
from gkm.scoring.subjects import BLURRED

SCORES, COSTS = slice(0, 11), (0, 1, 2, *range(11, len(HEADINGS)))
"""The columns of a table of scores, and of one of what they cost."""


@dataclass(frozen=True)
class DataFigures:
    """What was measured on one data set."""

    where: str
    cost: Markup | None
    cost_sigma: str
    """At which noise level."""
    beside_published: bool
    """Whether published figures stand in a panel below."""
    noise: Sequence[tuple[str, Markup]]


def build_scores_page(tables: Sequence[ScoreTable], out: str | Path, *, name: str, beside: Sequence[str] = ()) -> Path:
    """Write the page of an evaluation called `name` to the file `out`, whole or not at all, and return its place.

    `beside` are names of files in the same folder, to be linked. Raises InputError if `out` cannot be written.
    """
    lines = _distinct([line for table in tables for line in table.lines])
    measured = [line for line in lines if line.origin == "measured"]
    claimed = [line for line in lines if line.origin == "published" and not line.noise_sigma_8bit]
    labels = list(dict.fromkeys(line.data for line in measured))
    models = dict.fromkeys(line.model for line in measured)
    styles = _styles(list(models))
    figures = [_figures([line for line in measured if line.data == label], claimed, styles) for label in labels]
    shown = [_table(place, table) for place, table in enumerate(tables, 1)]
    costs, noise = [one for one in figures if one.cost is not None], [one for one in figures if one.noise]
    sections: list[tuple[str, str, Sequence[object]]] = [("cost", "Multiply-adds", costs), ("noise", "Noise", noise)]
    sections += [(table["anchor"], table["title"], [table]) for table in shown]
    context = {
        **assets(),
        "name": name,
        "models": len(models.keys() - {BLURRED.label}),
        "figures": figures,
        "costs": costs,
        "noise": noise,
        "has_published": any(line.origin == "published" for line in lines),
        "published_where": where_published(claimed) if any(one.beside_published for one in costs) else "",
        "claim_notes": claim_notes(claimed),
        "legend_entries": [(style.key, model) for model, style in styles.items()],
        "tables": shown,
        "score_heads": HEADINGS[SCORES],
        "cost_heads": [HEADINGS[column] for column in COSTS],
        "beside": beside,
        "sections": [(anchor, title) for anchor, title, there in sections if there],
    }
    page = environment().get_template("scores.html.jinja").render(**context)
    storage.write_bytes(out, page.encode())
    return Path(out)


def _distinct(lines: Sequence[Line]) -> list[Line]:
    """Each model on each data set at each noise level once: the paper's tables repeat some."""
    found: dict[tuple[object, ...], Line] = {}
    for line in lines:
        found.setdefault((line.origin, line.model, line.data, line.noise_sigma_8bit), line)
    return list(found.values())


def _styles(models: Sequence[str]) -> dict[str, Style]:
    others = [model for model in models if model != BLURRED.label]
    drawn = {model: style_of(place) for place, model in enumerate(others)}
    return {model: drawn.get(model, BLURRED_STYLE) for model in models}


def _figures(lines: Sequence[Line], claimed: Sequence[Line], styles: Mapping[str, Style]) -> DataFigures:
    """Those of the measured lines of one data set."""
    label, count = lines[0].data, lines[0].photographs
    where = f"{label}, {count} photograph{'' if count == 1 else 's'}"
    least = min(line.noise_sigma_8bit or 0.0 for line in lines)
    quietest = [line for line in lines if (line.noise_sigma_8bit or 0.0) == least]
    comparable = [] if least else claimed
    return DataFigures(
        where,
        _cost(quietest, comparable, styles, where),
        f"{least:g}",
        bool(claims_of(comparable)),
        noise_panels(curves_of_lines(lines, styles), where),
    )


def _cost(lines: Sequence[Line], claimed: Sequence[Line], styles: Mapping[str, Style], where: str) -> Markup | None:
    """None where nothing that was measured has multiply-adds."""
    claims = claims_of(claimed)
    marks, levels = [], []
    for line in lines:
        if line.psnr is None or not math.isfinite(line.psnr):
            continue
        operations = line.paper_macs_per_pixel if claims else line.macs_per_pixel
        style = styles[line.model]
        if operations is None:
            levels.append(Level(name=line.model, psnr=line.psnr, style=style))
            continue
        low, high = around(line.psnr, line.gains.get("psnr"))
        marks.append(Mark(name=line.model, operations=operations, psnr=line.psnr, low=low, high=high, style=style))
    return tradeoff(marks, levels, claims, where=where, elsewhere=where_published(claimed)) if marks else None


def _table(place: int, table: ScoreTable) -> dict[str, Any]:
    """Rows of text for the page; what a network costs stands once, by its first noise level."""
    costs: dict[tuple[str, str, str], Line] = {}
    for line in table.lines:
        if any(value is not None for value in (line.parameters, line.cpu_seconds, line.gpu_seconds)):
            costs.setdefault((line.origin, line.model, line.data), line)
    return {
        "anchor": f"table-{place}",
        "title": table.title,
        "scores": [(line.origin, cells_of(line)[SCORES]) for line in table.lines],
        "costs": [(line.origin, [cells_of(line)[column] for column in COSTS]) for line in costs.values()],
        "notes": table.notes,
    }
