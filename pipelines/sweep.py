"""Run a study: a search space and a data set in; tracked trials, a registered challenger and a report page out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.terminal.command import run, say
from pipelines.terminal.options import (
    CACHE,
    CACHE_LIMIT,
    DEFAULT_WORKSPACE,
    PATIENCE,
    RECORD,
    STORAGE,
    TRACKING_URI,
    WORKERS,
    WORKSPACE,
    node_cache,
    noise_levels,
    record_place,
    there,
    worker_group,
)


def main(
    space: Annotated[Path, typer.Option(help="Python file with the search space, grid or arms.")],
    data: Annotated[str, typer.Option(help="Prepared data set, as `gkm prepare` makes it.")],
    study: Annotated[str | None, typer.Option(show_default="SPACE's name", help="Name of the study.")] = None,
    trials: Annotated[int | None, typer.Option(show_default="by SPACE", help="Settings to try.")] = None,
    max_epochs: Annotated[int | None, typer.Option(show_default="by SPACE", help="Epochs over all trials.")] = None,
    hours: Annotated[float | None, typer.Option(show_default="by SPACE", help="Hours, pauses not counted.")] = None,
    cost: Annotated[float | None, typer.Option(show_default="by SPACE", help="Money, by the price of CLUSTER.")] = None,
    confirm: Annotated[
        int | None, typer.Option(min=0, show_default="by SPACE", help="Best settings to train with fresh seeds.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search; those of training are settings.")] = 0,
    concurrent: Annotated[int | None, typer.Option(min=1, show_default="all", help="Trials at a time.")] = None,
    workers: WORKERS = "1",
    patience: PATIENCE = 15.0,
    cpus: Annotated[float, typer.Option(min=0.1, help="Cores for each worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs for each worker; fractions share one.")] = 0.0,
    trials_per_gpu: Annotated[
        int | None,
        typer.Option(min=1, max=64, show_default="1", help="Trials that share a GPU, with a part of its memory each."),
    ] = None,
    ray_address: Annotated[
        str, typer.Option("--ray", envvar="RAY_ADDRESS", help='Ray cluster to use; "local" starts one for this study.')
    ] = "local",
    report: Annotated[Path | None, typer.Option(help="Report page; left out: in the study's folder.")] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="Noise on the test photographs that the report shows, too: 8-bit grey levels, paper or rtf; may be "
            "repeated; left out: none.",
            show_default=False,
        ),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report page.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make a lost record anew from the MLflow server.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    storage: STORAGE = None,
    tracking_uri: TRACKING_URI = None,
    device: Annotated[str | None, typer.Option(help="What trials run on, for the plan: a100, cpu, ...")] = None,
    cluster: Annotated[str | None, typer.Option(help="Whose prices to plan and count with: aws-g5-spot, ...")] = None,
    prices: Annotated[Path | None, typer.Option(show_default="cluster/prices.json", help="File of prices.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what the study will take, measured on this machine; run nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same, not measured: takes seconds.")] = False,
) -> None:
    """Search for good settings of GKMNet, register the best model as challenger and write the report page.

    A study run again goes on where it was stopped, goes on to larger limits, and does nothing once finished.

    Examples:
      python pipelines/sweep.py --space search_spaces/quick.py --data runs/data/sample
      python pipelines/sweep.py --space search_spaces/quick.py --data runs/data/sample --trials 16 --noise paper
      python pipelines/sweep.py --space search_spaces/gkmnet.py --data runs/data/dpd --gpus 1 --device a100 --dry-run
      python pipelines/sweep.py --space search_spaces/quick.py --data runs/data/sample --gpus 1 --trials-per-gpu 4
    """
    from gkm.storage import absolute, join
    from gkm.study.design.design import load_space

    sigmas = noise_levels(noise or [])
    limits: dict[str, Any] = {"trials": trials, "epochs": max_epochs, "hours": hours, "cost": cost}
    design = load_space(space)
    design = design.within(replace(design.limits, **{k: limit for k, limit in limits.items() if limit is not None}))

    from gkm.study.execution.opening import Study
    from gkm.study.execution.run import check_study, find_finished
    from gkm.tracking import open_tracking
    from pipelines.terminal.ending import Noise, conclude
    from pipelines.terminal.live import run_watched
    from pipelines.terminal.planning import plan_of, price_of

    spec = Study(
        study or _name_of(space),
        design,
        absolute(data),
        absolute(join(storage or workspace, "studies")),
        open_tracking(workspace, tracking_uri, storage),
        record_place(record, workspace),
        node_cache(cache, cache_limit, workspace, ray_address),
        seed,
        worker_group(workers, cpus, gpus, patience, trials_per_gpu),
        concurrent,
        confirm,
        rebuild=rebuild,
    )
    dataset = check_study(spec)
    outcome = None if plan or dry_run else find_finished(spec, dataset)
    if outcome is None:
        planned = plan_of(spec, dataset, ray_address, device, cluster, prices, measured=plan)
        for line in planned.lines():
            say(line)
        if plan or dry_run:
            return
        spec = replace(spec, price_per_hour=price_of(planned), planned=planned.figures())
        outcome = run_watched(spec, ray_address, dataset)
    page = report or workspace / "studies" / spec.name / "report.html"
    scores = Noise(sigmas, join(absolute(workspace), "evaluations", "noise")) if sigmas else None
    conclude(spec, outcome, None if no_report else page, scores, workspace)
    say(f"deblur a photo of yours: {there('gkm deblur PHOTO --out restored', workspace)}")


def _name_of(space: Path) -> str:
    """The study's name where none is given."""
    from gkm.errors import InputError
    from gkm.study.record.record_place import check_name

    try:
        return check_name(space.stem)
    except InputError as error:
        raise InputError(f"{space}: {error}; give another with --study") from None


if __name__ == "__main__":
    run(main)
