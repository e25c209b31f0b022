"""A request in; scores of all its combinations, tables and files out: what `gkm evaluate` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from gkm import storage
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.registry.promotion import Watch
from gkm.scoring import rendering
from gkm.scoring.cells import Cell, Conditions, Place, check, grid, score_cells, with_blurred
from gkm.scoring.lines import ScoreTable, measured, published, source_notes, timing_notes
from gkm.scoring.logged import log_scores
from gkm.scoring.paper import paper_cells, paper_tables
from gkm.scoring.published import PHOTOGRAPHS, all_published, on_data
from gkm.scoring.rows import Block, to_parquet
from gkm.scoring.seen import refuse_seen
from gkm.scoring.subjects import BLURRED, Subject
from gkm.scoring.summary import Summary, origin_key, summarise
from gkm.tracking import Tracking

FILES = ("scores.parquet", "tables.md", "tables.csv", "tables.tex")
"""What is written beside the rows; the first has a row for each model, photograph and noise level."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to score, on what, and what to show."""

    subjects: Sequence[Subject]
    places: Sequence[Place]
    noise_sigmas_8bit: Sequence[float] = (0.0,)
    """Left aside for the paper's tables, which have their own."""
    conditions: Conditions = field(default_factory=Conditions)
    published: str | None = None
    """Data set whose published figures to show below."""
    paper: bool = False
    """Whether the tables are those of the paper."""
    shared_names: bool = False
    """See `gkm.scoring.seen.refuse_seen`."""


@dataclass(frozen=True)
class Plan:
    """What a request comes to, checked."""

    cells: tuple[Cell, ...]
    trained_on: dict[str, str]
    """See `gkm.scoring.summary.summarise`."""


@dataclass(frozen=True)
class Evaluation:
    """What was found."""

    tables: tuple[ScoreTable, ...]
    files: tuple[str, ...]
    runs: tuple[str, ...]
    """Ids of the MLflow runs that have the scores."""


def plan(request: Request) -> Plan:
    """All combinations with the blurred input of each; InputError where one cannot be scored. Changes nothing."""
    if request.published is not None and request.published not in PHOTOGRAPHS:
        on_data(request.published, [])
    if request.paper:
        cells = paper_cells(request.subjects, request.places)
        blank = [Cell(BLURRED, place, sigma) for place in request.places for sigma in _paper_sigmas(place)]
        cells = with_blurred([*blank, *cells])
    else:
        cells = with_blurred(grid(request.subjects, request.places, request.noise_sigmas_8bit))
    check(cells, request.conditions)
    trained_on = {}
    for cell in cells:
        if (key := origin_key(cell)) not in trained_on:
            split, names = request.conditions.split, request.shared_names
            trained_on[key] = refuse_seen(cell.subject, cell.place.dataset, split, shared_names=names)
    return Plan(tuple(cells), trained_on)


def evaluate_models(
    request: Request,
    planned: Plan,
    folder: str,
    tracking: Tracking,
    *,
    cache: NodeCache | str | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Score what is planned, keep it below `folder`, and log it at the runs of the models that have one.

    What `folder` has already is read. Raises InputError as `gkm.scoring.cells.score_cells`.
    """
    cells, conditions = planned.cells, request.conditions
    blocks = score_cells(cells, folder, conditions, cache=cache, watch=watch)
    summaries = summarise(cells, blocks, planned.trained_on)
    tables = paper_tables(summaries, request.places) if request.paper else [_table(request, summaries)]
    contents = (
        _all_rows(request, summaries, blocks),
        rendering.to_markdown(tables).encode(),
        rendering.to_csv(tables).encode(),
        rendering.to_latex(tables).encode(),
    )
    files = [storage.join(folder, name) for name in FILES]
    for file, content in zip(files, contents, strict=True):
        storage.write_bytes(file, content)
    runs = log_scores(tracking, cells, blocks, summaries, conditions)
    return Evaluation(tuple(tables), tuple(files), tuple(runs))


def _table(request: Request, summaries: Sequence[Summary]) -> ScoreTable:
    conditions = request.conditions
    lines = [measured(summary) for summary in summaries]
    notes = [
        f"{place.label}: {conditions.split} photographs of {place.dataset.place}, fingerprint "
        f"{place.dataset.fingerprint}."
        for place in request.places
    ]
    notes += timing_notes(lines)
    if request.published is not None:
        lines += [published(row) for row in on_data(request.published, list(request.noise_sigmas_8bit))]
        notes += source_notes(lines)
    title = f"Scores by the protocol {conditions.protocol.name}, noise seed {conditions.seed}"
    return ScoreTable(title, lines, notes)


def _all_rows(request: Request, summaries: Sequence[Summary], blocks: Sequence[Block]) -> bytes:
    """A row for each model, photograph and noise level."""
    conditions = request.conditions
    rows = []
    for summary, block in zip(summaries, blocks, strict=True):
        cell, takes = summary.cell, summary.complexity
        about = {
            "model": cell.subject.label,
            "weights": cell.subject.identity,
            "version": cell.subject.version,
            "run_id": cell.subject.run_id,
            "data": cell.place.label,
            "data_fingerprint": cell.place.dataset.fingerprint,
            "split": conditions.split,
            "protocol": conditions.protocol.name,
            "noise_sigma_8bit": cell.noise_sigma_8bit,
            "seed": conditions.seed,
        }
        size = {
            "device": block.device,
            "parameters": None if takes is None else takes.parameters,
            "macs": None if takes is None else takes.macs,
            "trained_on": summary.trained_on,
        }
        rows += [about | asdict(row) | size for row in block.rows]
    return to_parquet(rows, {"protocol": conditions.protocol.to_dict()})


def _paper_sigmas(place: Place) -> list[float]:
    return list(dict.fromkeys(row.noise_sigma_8bit for row in all_published() if row.data == place.label))


def named(text: str) -> tuple[str | None, str]:
    """ "NAME=WHAT" -> its parts; None and the text where there is no name.

    Raises InputError where one of them is empty.
    """
    name, sign, rest = text.partition("=")
    if not sign or "/" in name or storage.exists(text):
        return None, text
    if not (name.strip() and rest.strip()):
        raise InputError(f"{text}: has an equals sign, but not a name before and something behind it; write NAME=WHAT")
    return name.strip(), rest.strip()
