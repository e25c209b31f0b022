"""Write the report of a study: its name in; one self-contained HTML page and the test figures out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.terminal.command import run, say
from pipelines.terminal.options import (
    CACHE,
    CACHE_LIMIT,
    DEFAULT_WORKSPACE,
    RECORD,
    TRACKING_URI,
    WORKSPACE,
    node_cache,
    record_place,
)


def main(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="HTML file to write.")],
    data: Annotated[
        str | None,
        typer.Option(show_default="WORKSPACE/data/sample", help="The study's data set; its test photographs are read."),
    ] = None,
    lpips_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="GKM_LPIPS_WEIGHTS", show_default=False, help="AlexNet weights for LPIPS; left out: searched for."
        ),
    ] = None,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Score a study's registered model on the test photographs and write the report page.

    Examples:
      python pipelines/report.py --study quick --out report.html
      python pipelines/report.py --study dpd --data runs/data/dpd --out dpd.html
    """
    from gkm.report import report_study
    from gkm.storage import absolute
    from gkm.study.record.archive import read_results
    from gkm.tracking import open_tracking
    from pipelines.terminal.lines import announced

    tracking = open_tracking(workspace, tracking_uri)
    tracking.must_exist()
    results = read_results(record_place(record, workspace), study)
    with announced(f"scoring the test photographs of study {study}") as watch:
        summary = report_study(
            tracking,
            results,
            absolute(data or workspace / "data" / "sample"),
            out,
            cache=node_cache(cache, cache_limit, workspace),
            lpips_weights=lpips_weights,
            watch=watch,
        )
    for name, scores in (("blurred", summary.blurred), ("restored", summary.restored)):
        figures = f"{scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}, LPIPS {scores['lpips']:.3f}"
        say(f"{summary.photographs} test photographs {name}: {figures}")
    say(f"gain: {summary.gain:+.2f} dB")
    say(f"report: {absolute(summary.page)}")


if __name__ == "__main__":
    run(main)
