"""Run a study: a search space and a data set in; tracked trials, a registered challenger and a report page out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.command import progress, run, say
from pipelines.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, STORAGE, TRACKING_URI, WORKSPACE, node_cache

if TYPE_CHECKING:
    from rich.progress import Progress

    from gkm.study.progress import StudyProgress


def main(
    space: Annotated[Path, typer.Option(help="Python file with the search space.")],
    data: Annotated[str, typer.Option(help="Prepared data set (see prepare_data.py).")],
    study: Annotated[
        str | None, typer.Option(help="Name of the study; left out: the search space's file name.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials to run; left out: as the search space says.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search and of every trial.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Ray Train workers for each trial; 1: a plain process.")] = 1,
    cpus: Annotated[float, typer.Option(min=0.1, help="Cores for each worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs for each worker; fractions share one.")] = 0.0,
    ray_address: Annotated[
        str, typer.Option("--ray", envvar="RAY_ADDRESS", help='Ray cluster to use; "local" starts one for this study.')
    ] = "local",
    report: Annotated[Path | None, typer.Option(help="Report page; left out: in the study's folder.")] = None,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    storage: STORAGE = None,
    tracking_uri: TRACKING_URI = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and print the plan; run nothing.")
    ] = False,
) -> None:
    """Search for good settings of GKMNet, register the best model as challenger and write the report page.

    A study run again goes on where it was stopped, and does nothing once finished.

    Examples:
      python pipelines/sweep.py --space search_spaces/quick.py --data runs/data/sample
      python pipelines/sweep.py --space search_spaces/gkmnet.py --data runs/data/dpd --gpus 1 --dry-run
    """
    from gkm.storage import absolute, join
    from gkm.study.plan import make_plan
    from gkm.study.space import load_space

    searched = load_space(space, trials)
    plan = make_plan(searched, absolute(data))
    for line in plan.lines():
        say(line)
    if dry_run:
        return

    from gkm.registry import register_best
    from gkm.report import report_study
    from gkm.study.session import start_ray
    from gkm.study.tuner import Study, find_finished, run_study
    from gkm.study.workers import WorkerGroup
    from gkm.tracking import open_tracking

    tracking = open_tracking(workspace, tracking_uri, storage)
    tracking.prepare()
    name, photos = study or space.stem, node_cache(cache, cache_limit, workspace, ray_address)
    spec = Study(
        name,
        searched,
        absolute(data),
        absolute(join(storage or workspace, "studies")),
        tracking,
        photos,
        seed,
        WorkerGroup(workers, cpus, gpus),
    )
    results = find_finished(spec)
    if results is None:
        with progress() as bar, start_ray(ray_address):
            results = run_study(spec, _shown_on(bar, searched.trials))
    best = results.best
    assert best is not None
    ended = ", ".join(f"{results.count(status)} {status}" for status in ("finished", "stopped", "failed"))
    say(f"study {name}: {len(results.trials)} trials ({ended}); best is trial {best.number}, {best.score:.2f} dB")
    version = register_best(tracking, results)
    say(f"registered: gkmnet version {version}, alias challenger")
    page = report or workspace / "studies" / name / "report.html"
    with progress() as bar:
        summary = report_study(
            tracking,
            results,
            spec.data,
            page,
            cache=photos,
            watch=lambda label, items: bar.track(items, description=label),
        )
    gained = f"{summary.restored_psnr:.2f} dB, {summary.gain:+.2f} dB over the blurred input"
    say(f"{summary.photographs} test photographs: {gained}")
    say(f"report: {absolute(summary.page)}")
    say(f"compare the trials: {tracking.ui_hint}")
    say(f"deblur a photo of yours: python pipelines/deblur.py PHOTO --out restored --workspace {workspace}")


def _shown_on(bar: Progress, trials: int) -> Callable[[StudyProgress, str], None]:
    """A listener that keeps `bar` up to date, and says which trials failed."""
    task = bar.add_task("trials", total=trials)

    def show(state: StudyProgress, what: str) -> None:
        best = "" if state.best is None else f", best {state.best:.2f} dB (trial {state.best_trial})"
        bar.update(task, completed=state.done, description=f"{what}{best}")
        if "failed" in what:
            say(what)

    return show


if __name__ == "__main__":
    run(main)
