"""Write the report of a study: its name in; one self-contained HTML page and the test figures out."""

from pathlib import Path
from typing import Annotated

import typer

from gkm.errors import InputError
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
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY...", show_default=False, help="Names of studies; several: compared on one page."),
    ] = None,
    study: Annotated[list[str] | None, typer.Option(help="The same as STUDY.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, show_default="WORKSPACE/studies/STUDY/report.html", help="HTML file to write."),
    ] = None,
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
    anew: Annotated[bool, typer.Option("--anew", help="Write the page even if nothing has changed since.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
    cache: CACHE = None,
    cache_limit: CACHE_LIMIT = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Score a study's registered model on the test photographs and write the report page, or compare studies on one.

    Beside the page of a study lie its tables as Markdown, LaTeX and CSV. A page that would come out the same is left as
    it is.

    Examples:
      python pipelines/report.py quick
      python pipelines/report.py dpd --data runs/data/dpd --out dpd.html
      python pipelines/report.py quick networks --out both.html
    """
    from gkm.data.dataset.dataset import open_dataset
    from gkm.report import current
    from gkm.storage import absolute
    from gkm.study.record.archive import read_results
    from gkm.tracking import open_tracking
    from pipelines.terminal.lines import announced

    names = [*(studies or ()), *(study or ())]
    if not names:
        raise InputError("no study is named; `gkm study list` lists them")
    tracking = open_tracking(workspace, tracking_uri)
    tracking.must_exist()
    place = record_place(record, workspace)
    found = [read_results(place, name) for name in names]
    pages = {name: workspace / "studies" / name / "report.html" for name in names}
    if len(found) > 1:
        from gkm.report import build_overview

        page = build_overview(found, out or workspace / "studies" / f"{'+'.join(names)}.html", pages)
        return say(f"report: {absolute(page)}")
    (results,) = found
    dataset, page = open_dataset(absolute(data or workspace / "data" / "sample")), out or pages[results.name]
    source = current.made_from(results, dataset.fingerprint, tracking, lpips_weights)
    if not anew and (lines := current.said_if_current(page, source)) is not None:
        for line in lines:
            say(line)
        return say(f"report: {absolute(page)} (as it would be written again; --anew does so)")
    from gkm.report import report_study

    with announced(f"scoring the test photographs of study {results.name}") as watch:
        summary = report_study(
            tracking,
            results,
            dataset,
            page,
            cache=node_cache(cache, cache_limit, workspace),
            lpips_weights=lpips_weights,
            watch=watch,
        )
    for line in summary.lines:
        say(line)
    say(f"report: {absolute(summary.page)}")


if __name__ == "__main__":
    run(main)
