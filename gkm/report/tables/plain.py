"""A study and its test scores in; the page's tables as Markdown, LaTeX and CSV, to paste and to compute with, out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from gkm import storage
from gkm.report.evidence import TestScores
from gkm.report.tables import scores as tables
from gkm.report.tables import study_table
from gkm.report.tables.cells import Cell
from gkm.report.tables.gains import METRICS
from gkm.scoring.rendering import in_latex
from gkm.study.insight.verdicts import arm_verdicts
from gkm.study.record.results import StudyResults

_SIDES = ("blurred", "restored", "change")


@dataclass(frozen=True)
class Table:
    """A table of text."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_tables(study: StudyResults, tests: TestScores, page: str) -> list[str]:
    """Write the tables beside the page `page`: its name with .md, .tex and .csv in the place of .html; returns those.

    The CSV has one row for each photograph, noise level and kind of picture, not rounded.
    """
    found, stem = study_tables(study, tests), _stem(page)
    texts = {
        ".md": f"# {_plain(study.name)}\n\n{tables.finding(study, tests)}\n\n" + "\n".join(map(markdown, found)),
        ".tex": "\n".join(map(latex, found)),
        ".csv": scores_csv(tests),
    }
    for ending, text in texts.items():
        storage.write_bytes(f"{stem}{ending}", text.encode())
    return [f"{stem}{ending}" for ending in texts]


def study_tables(study: StudyResults, tests: TestScores) -> list[Table]:
    """The tables of the page, in its order; those that would be empty are left out."""
    heads = [f"{name.upper()} {side}" for name, _, _ in METRICS for side in _SIDES]
    rows = [*tables.score_rows(tests), *tables.summary_rows(tests)]
    scores = [
        Table("Test photographs", ["photograph", *heads], [_row(row.title, row.cells) for row in rows]),
        Table(
            "Against the iteration without learning",
            ["means", *heads],
            [_row(row.title, row.cells) for row in tables.baseline_rows(tests)],
        ),
        Table("Noise", ["noise", *heads], [_row(row.title, row.cells) for row in tables.noise_rows(tests.noise)]),
    ]
    arms = [[arm.name, str(arm.seeds), arm.kind, arm.sentence] for arm in arm_verdicts(study)]
    trials = [
        _row(str(row.number), [Cell(row.status), *row.cells, Cell(row.reason)]) for row in study_table.study_rows(study)
    ]
    trial_heads = ["trial", "status", *(head.text for head in study_table.heads(study)), "reason"]
    found = [
        Table("Arms", ["arm", "seeds", "verdict", "in words"], arms),
        *scores,
        Table("Trials", trial_heads, trials),
    ]
    return [table for table in found if table.rows]


def markdown(table: Table) -> str:
    """As a section with a table, in the form that GitHub shows."""
    lines = [table.heads, ["---"] * len(table.heads), *table.rows]
    body = "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)
    return f"## {table.title}\n\n{body}\n"


def latex(table: Table) -> str:
    """As a `table` environment that wants the package booktabs."""
    heads, *rows = (" & ".join(map(in_latex, line)) + r" \\" for line in (table.heads, *table.rows))
    body = "\n".join(rows)
    columns = "l" + "r" * (len(table.heads) - 1)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{in_latex(table.title)}}}\n\\begin{{tabular}}{{{columns}}}\n"
        f"\\toprule\n{heads}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def scores_csv(tests: TestScores) -> str:
    """Scores of every photograph: scene, photograph, noise_sigma_8bit, picture, psnr in dB, ssim, lpips."""
    text, names = io.StringIO(), [name for name, _, _ in METRICS]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scene", "photograph", "noise_sigma_8bit", "picture", *names])
    pictures = {"blurred": tests.blurred, "restored": tests.restored}
    if tests.baseline is not None:
        pictures[tests.baseline.name] = tests.baseline.scores
    levels: list[tuple[float, Mapping[str, Sequence[object]]]] = [(0.0, pictures)]
    levels += [(n.sigma_8bit, {"blurred": n.blurred, "restored": n.restored}) for n in tests.noise if n.sigma_8bit]
    for sigma, shown in levels:
        for name, scores in shown.items():
            for score in map(vars, scores):
                figures = ["" if score[metric] is None else repr(score[metric]) for metric in names]
                writer.writerow([score["scene"], score["name"], f"{sigma:g}", name, *figures])
    return text.getvalue()


def noise_on_page(page: str | Path) -> set[float]:
    """The noise levels of the scores on a study's page, read from the CSV beside it; empty where that is missing."""
    place = f"{_stem(str(page))}.csv"
    if not storage.exists(place):
        return set()
    rows = csv.DictReader(io.StringIO(storage.read_bytes(place).decode()))
    return {float(row["noise_sigma_8bit"]) for row in rows}


def _stem(page: str) -> str:
    """The page's name without its ending."""
    return page.removesuffix(PurePath(page).suffix) if PurePath(page).suffix else page


def _row(title: str, cells: Sequence[Cell]) -> list[str]:
    return [title, *(cell.text for cell in cells)]


def _plain(text: str) -> str:
    """Text for a cell of Markdown, in which nothing is markup."""
    return re.sub(r"([\\|<>*_`\[\]#])", r"\\\1", " ".join(text.split()))
