"""Models by the names of the paper's rows in; what to score for Tables 1 to 5, and then the tables, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gkm.errors import InputError
from gkm.scoring.cells import Cell, Place
from gkm.scoring.lines import Line, ScoreTable, measured, published, source_notes, timing_notes
from gkm.scoring.published import LATER, PHOTOGRAPHS, all_published, of_table
from gkm.scoring.seen import training_photographs
from gkm.scoring.subjects import Subject
from gkm.scoring.summary import Summary

TITLES: Mapping[str, str] = {
    "1": "Table 1: methods on the DPD test set",
    "2": "Table 2: methods on the noisier DPD test set",
    "3": "Table 3: methods on the RTF test set",
    "4": "Table 4: GKMNet and its ablations",
    "5": "Table 5: scales S and iterations R of GKMNet",
}


def row_keys() -> list[str]:
    """What models may be called: the keys of all rows, in the order of the tables."""
    return list(dict.fromkeys(row.key for row in all_published()))


def row_of(subject: Subject) -> str:
    """The key of a model's row: what it is called, or the method that it is."""
    return subject.method or subject.label


def paper_cells(subjects: Sequence[Subject], places: Sequence[Place]) -> list[Cell]:
    """What the tables need of these models (called by `row_keys`) on these data sets (called "dpd" and "rtf").

    Raises InputError where a model or data set is called otherwise, or there is no data set "dpd".
    """
    known = row_keys()
    for subject in subjects:
        if subject.kind == "network" and subject.label not in known:
            raise InputError(
                f"--model {subject.label}: no row of the tables is called so; write --model ROW=MODEL with one of "
                f"{', '.join(known)}"
            )
    if other := [place.label for place in places if place.label not in PHOTOGRAPHS]:
        raise InputError(f"--data {other[0]}: the tables are of two data sets; write --data dpd=PLACE or rtf=PLACE")
    by_row = {row_of(subject): subject for subject in subjects}
    others = [subject for subject in subjects if subject.kind == "fixed-point"]
    cells = []
    for place in places:
        rows = [row for row in all_published() if row.data == place.label]
        cells += [Cell(by_row[row.key], place, row.noise_sigma_8bit) for row in rows if row.key in by_row]
        cells += [Cell(one, place, sigma) for one in others for sigma in {row.noise_sigma_8bit for row in rows}]
    return cells


def paper_tables(summaries: Sequence[Summary], places: Sequence[Place]) -> list[ScoreTable]:
    """Tables 1 to 5: each published row, and below it what was measured of the same network; NRKNet and later work too.

    Raises nothing: a row without weights says "not measured".
    """
    found = {(row_of(one.cell.subject), one.cell.place.label, one.cell.noise_sigma_8bit): one for one in summaries}
    plain = [one for one in summaries if one.cell.subject.kind in ("blurred", "fixed-point")]
    tables = []
    for table, title in TITLES.items():
        rows = of_table(table) + (of_table(LATER) if table == "1" else [])
        lines: list[Line] = []
        networks = []
        for row in rows:
            lines.append(published(row))
            summary = found.get((row.key, row.data, row.noise_sigma_8bit))
            if summary is not None:
                lines.append(measured(summary, row.model))
                networks.append((row.model, summary))
            else:
                lines.append(_absent(row.model, row.data, row.noise_sigma_8bit))
        data, sigmas = rows[0].data, {row.noise_sigma_8bit for row in rows}
        lines += [
            measured(one) for one in plain if one.cell.place.label == data and one.cell.noise_sigma_8bit in sigmas
        ]
        notes = [
            *_photographs(data, places, summaries),
            *_trainings(networks),
            *timing_notes(lines),
            *source_notes(lines),
        ]
        tables.append(ScoreTable(title, lines, notes))
    return tables


def _absent(model: str, data: str, sigma: float) -> Line:
    return Line(model=model, origin="not measured", data=data, noise_sigma_8bit=sigma)


def _trainings(measured_rows: Sequence[tuple[str, Summary]]) -> list[str]:
    """How long each network was trained: figures of a moment's training are not those of a method."""
    notes: dict[str, None] = {}
    for model, summary in measured_rows:
        subject = summary.cell.subject
        if subject.training is not None:
            notes[subject.training.sentence(model, training_photographs(subject))] = None
        elif subject.kind == "network":
            notes[f"{model}: how long it was trained is not on record."] = None
    return list(notes)


def _photographs(data: str, places: Sequence[Place], summaries: Sequence[Summary]) -> list[str]:
    """Whose photographs were measured, so that nobody takes them for those of the published rows."""
    place = next((place for place in places if place.label == data), None)
    if place is None:
        return [f"Nothing was measured: no data set was given as {data}."]
    count = next((one.photographs for one in summaries if one.cell.place is place), 0)
    return [
        f"Measured: {count} photographs of {place.dataset.place} (fingerprint {place.dataset.fingerprint}); "
        f"published: {PHOTOGRAPHS[data]}."
    ]
