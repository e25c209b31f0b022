"""A model and noise levels in; PSNR, SSIM and LPIPS on noisy test photographs out, as a table and in MLflow."""

from math import isinf
from typing import Annotated

import typer

from pipelines.terminal.command import run, say, show
from pipelines.terminal.options import CACHE, CACHE_LIMIT, DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE, node_cache


def main(
    model: Annotated[
        str | None,
        typer.Option(
            help="Version, alias, run id or directory of weights; left out: the champion, or else the challenger."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Prepared data set; left out: data/sample in the workspace.", show_default=False)
    ] = None,
    sigma: Annotated[
        list[float] | None,
        typer.Option(help="Noise in 8-bit grey levels; may be repeated; left out: 0, 1, 3 and 5.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Measure how a model and the blurred input fare when the test photographs are noisy.

    The figures also go to the run the model was trained in, named after the data set, the noise level and the seed.
    What is finished is kept and not computed again. For several models or data sets there is evaluate.py.

    Examples:
      python pipelines/evaluate_noise.py
      python pipelines/evaluate_noise.py --model challenger --sigma 0 --sigma 2.5 --seed 1
      python pipelines/evaluate_noise.py --model 3 --data runs/data/dpd
    """
    from rich.table import Table

    from gkm.scoring.noise import SIGMAS_8BIT, study_noise
    from gkm.storage import absolute, join
    from gkm.tracking import open_tracking
    from pipelines.terminal.lines import announced

    tracking = open_tracking(workspace, tracking_uri)
    with announced("scoring noisy test photographs", aside=True) as watch:
        study = study_noise(
            tracking,
            absolute(data or workspace / "data" / "sample"),
            join(absolute(workspace), "evaluations", "noise"),
            selector=model,
            sigmas_8bit=sigma or SIGMAS_8BIT,
            seed=seed,
            cache=node_cache(cache, cache_limit, workspace),
            watch=watch,
        )
    table = Table(title=f"{study.subject.label} on {study.photographs} test photographs, seed {seed}")
    for heading in ("sigma", "PSNR", "blurred", "gain", "SSIM", "blurred", "LPIPS", "blurred"):
        table.add_column(heading, justify="right")
    for level in study.levels:
        restored, blurred = level.restored, level.blurred
        table.add_row(
            f"{level.sigma_8bit:g}",
            *(f"{value:.2f}" for value in (restored["psnr"], blurred["psnr"])),
            "–" if isinf(blurred["psnr"]) else f"{restored['psnr'] - blurred['psnr']:+.2f}",
            *(f"{side[key]:.4f}" for key in ("ssim", "lpips") for side in (restored, blurred)),
        )
    show(table)
    if study.artifact:
        say(f"per photograph: {study.artifact} of run {study.subject.run_id}; {tracking.ui_hint}")


if __name__ == "__main__":
    run(main)
