"""Models, data sets and noise levels in; PSNR, SSIM and LPIPS out, as tables, files and a page, and in MLflow."""

from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import run, say, show
from pipelines.terminal.options import (
    CACHE,
    CACHE_LIMIT,
    DEFAULT_WORKSPACE,
    TRACKING_URI,
    WINDOWS,
    WORKSPACE,
    node_cache,
    noise_levels,
)

if TYPE_CHECKING:
    from rich.table import Table

    from gkm.scoring.cells import Conditions, Place
    from gkm.scoring.evaluation import Plan
    from gkm.scoring.lines import ScoreTable

PAGE = "report.html"
"""Beside the tables."""


def main(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Version, alias, run id, directory of weights, blurred, fixed-point, ebdb or jnb, or NAME= in front "
            "of one of these; may be repeated; left out: the champion, or else the challenger.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Prepared data set, or NAME=PLACE; may be repeated; left out: data/sample in the workspace.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Which of its photographs: test, validation or train.")] = "test",
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="Noise in 8-bit grey levels, or paper (0, 1, 3, 5) or rtf (0, 1, 2.55); may be repeated; left out: 0.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    protocol: Annotated[
        str, typer.Option(help="How photographs are scored: gkm, paper, release or ifan; see docs/evaluation.md.")
    ] = "gkm",
    window: WINDOWS = None,
    published: Annotated[
        str | None, typer.Option(help="Show published figures below: dpd or rtf.", show_default=False)
    ] = None,
    tables: Annotated[
        bool,
        typer.Option("--tables", help="The paper's Tables 1 to 5; models and data are then given as ROW=MODEL."),
    ] = False,
    shared_names: Annotated[
        bool,
        typer.Option("--shared-names", help="Scenes of the training data with the same names are other scenes."),
    ] = False,
    name: Annotated[str, typer.Option(help="Folder below evaluations in the workspace.")] = "scores",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be computed; change nothing.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Score models on the test photographs of data sets, beside the blurred input.

    What is finished is kept and not computed again: after a stop the same command goes on. Photographs that a model
    was trained on are refused. The scores also go to the MLflow runs of models that have one.

    Examples:
      python pipelines/evaluate.py
      python pipelines/evaluate.py --model 3 --model small=path/to/weights --model fixed-point --noise paper
      python pipelines/evaluate.py --model champion --window 64 --window 256
      python pipelines/evaluate.py --data runs/data/dpd --protocol release --published dpd
      python pipelines/evaluate.py --tables --data dpd=runs/data/dpd --model gkmnet=3 --model sram=path/to/weights
    """
    from gkm.report import build_scores_page
    from gkm.scoring.evaluation import Request, evaluate_models, named, plan
    from gkm.scoring.subjects import find_subjects
    from gkm.storage import absolute, join
    from gkm.tracking import open_tracking
    from pipelines.terminal.lines import announced

    conditions, sigmas = _conditions(split, protocol, seed), _sigmas(noise, tables)
    places = _places([named(text) for text in data or [str(workspace / "data" / "sample")]], tables)
    tracking = open_tracking(workspace, tracking_uri)
    default: list[tuple[str | None, str | None]] = [] if tables else [(None, None)]
    wanted = [named(text) for text in model or []] or default
    request = Request(
        subjects=find_subjects(tracking, wanted, window or []),
        places=places,
        noise_sigmas_8bit=sigmas,
        conditions=conditions,
        published=published,
        paper=tables,
        shared_names=shared_names,
    )
    planned, folder = plan(request), _folder(absolute(workspace), name)
    if dry_run:
        _show_plan(planned, folder, conditions)
        return
    with announced("scoring photographs", aside=True) as watch:
        found = evaluate_models(
            request,
            planned,
            folder,
            tracking,
            cache=node_cache(cache, cache_limit, workspace),
            watch=watch,
        )
    for table in found.tables:
        show(_as_rich(table))
        for note in table.notes:
            say(note)
    beside = [PurePath(file).name for file in found.files]
    page = build_scores_page(found.tables, join(folder, PAGE), name=name, beside=beside)
    for file in (*found.files, page):
        say(str(file))
    if found.runs:
        say(f"scores also at {len(found.runs)} MLflow runs; {tracking.ui_hint}")


def _conditions(split: str, protocol: str, seed: int) -> "Conditions":
    from gkm.data.photos import SPLITS
    from gkm.evaluation import find_protocol
    from gkm.scoring.cells import Conditions

    for known in SPLITS:
        if split == known:
            return Conditions(split=known, protocol=find_protocol(protocol), seed=seed)
    raise InputError(f"--split {split}: there is no such split; choose from {', '.join(SPLITS)}")


def _sigmas(noise: list[str] | None, tables: bool) -> list[float]:
    if noise and tables:
        raise InputError("--noise: the paper's tables have their own noise levels; leave it out, or --tables")
    return noise_levels(noise or ["0"])


def _places(given: list[tuple[str | None, str]], tables: bool) -> "list[Place]":
    from gkm.data.dataset.dataset import open_dataset
    from gkm.scoring.cells import Place
    from gkm.storage import absolute

    places: dict[str, Place] = {}
    for label, place in given:
        shown = label or ("dpd" if tables else PurePath(place).name)
        if shown in places:
            raise InputError(f"--data {place}: is called {shown} like another; give one of them a name, as NAME=PLACE")
        places[shown] = Place(shown, open_dataset(absolute(place)))
    return list(places.values())


def _folder(workspace: str, name: str) -> str:
    from gkm.storage import join

    if not name or name.startswith(".") or "/" in name:
        raise InputError(f"--name {name}: is no name of a folder; choose one without slashes that begins with a letter")
    return join(workspace, "evaluations", name)


def _show_plan(planned: "Plan", folder: str, conditions: "Conditions") -> None:
    missing = 0
    for cell in planned.cells:
        there = cell.read(folder, conditions) is not None
        missing += not there
        count = len(cell.place.dataset.entries(conditions.split))
        say(f"{'there already' if there else 'to compute':14} {cell.label}, {count} photographs")
    say(f"{missing} of {len(planned.cells)} to compute, to be kept in {folder}; nothing was changed")


def _as_rich(table: "ScoreTable") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from gkm.scoring.rendering import HEADINGS, SHORT, cells_of

    shown = Table(title=table.title)
    for column in SHORT:
        shown.add_column(HEADINGS[column], justify="left" if column < 3 else "right")
    for line in table.lines:
        cells = cells_of(line)
        style = None if line.origin == "measured" else "dim"
        shown.add_row(*(escape(cells[column]) for column in SHORT), style=style)
    return shown


if __name__ == "__main__":
    run(main)
