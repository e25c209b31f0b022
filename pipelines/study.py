"""Studies on record in; tables of them, comparisons, a Parquet file or a stopped driver out. Starts no Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gkm.errors import InputError
from pipelines.terminal.command import run_group, say, show
from pipelines.terminal.options import DEFAULT_WORKSPACE, RECORD, TRACKING_URI, WORKSPACE, record_place

NAME = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]


def list_studies(workspace: WORKSPACE = DEFAULT_WORKSPACE, record: RECORD = None) -> None:
    """List all studies on record, the newest first.

    Examples:
      python pipelines/study.py list
    """
    from gkm.study.record.archive import read_entries
    from pipelines.terminal.study_tables import entries_table

    place = record_place(record, workspace)
    entries = read_entries(place)
    if not entries:
        raise InputError(f"{place.address('NAME')}: there is no study yet; run one with sweep, or correct --workspace")
    show(entries_table(entries))
    for entry in entries:
        if entry.trouble:
            say(f"{entry.name}: {entry.trouble}")


def show_study(
    name: NAME,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Show a study's trials, what its seeds and photographs allow to be said, what it spent, and where to look further.

    Examples:
      python pipelines/study.py show quick
    """
    from gkm.study.record.archive import read_entry, viewers
    from gkm.tracking import open_tracking
    from pipelines.terminal import study_tables as tables

    place = record_place(record, workspace)
    entry = read_entry(place, name)
    for line in tables.headline(entry):
        say(line)
    assert entry.results is not None
    show(tables.trials_table(entry.results))
    for table in tables.settings_tables(entry.results):
        show(table)
    for line in (*tables.findings(entry.results), *tables.accounts(entry.results), *tables.remarks(entry.results)):
        say(line)
    for command in viewers(place, name).values():
        say(command)
    say(open_tracking(workspace, tracking_uri).ui_hint)


def stop(
    name: NAME,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 60.0,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
) -> None:
    """Have a study that is being run stop, wherever it runs: running trials end at their next epoch, to go on later.

    Examples:
      python pipelines/study.py stop quick --wait 120
    """
    from gkm.study.record.archive import stop_study

    stopped = stop_study(
        record_place(record, workspace), name, wait, lambda holder: say(f"study {name}: asked {holder} to stop")
    )
    if stopped.holder is None:
        return say(f"study {name}: nobody runs it")
    say(f"study {name}: stopped after {stopped.seconds:.0f} s; the same sweep goes on")


def compare(
    one: Annotated[str, typer.Argument(metavar="ONE", help="STUDY (its winner), STUDY:ARM or STUDY:TRIAL.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="What to compare it with.")],
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
) -> None:
    """Compare two studies, arms or trials, paired photograph by photograph, over all their seeds.

    Examples:
      python pipelines/study.py compare losses:ssim losses:l2
      python pipelines/study.py compare quick wide:3
    """
    from gkm.study.insight import comparison
    from gkm.study.record.archive import read_results

    place = record_place(record, workspace)
    first, second = (comparison.find_side(text, lambda name: read_results(place, name)) for text in (one, other))
    found = comparison.compare(first, second)
    say(f"{found.name} against {found.reference}: {found.sentence}")
    for note in found.notes:
        say(f"note: {note}")


def export(
    name: NAME,
    out: Annotated[str, typer.Option(help="Parquet file to write, here or in S3.")],
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
) -> None:
    """Write a study as one tidy table: a row for each trial and epoch, with all settings and metrics.

    Examples:
      python pipelines/study.py export quick --out quick.parquet
    """
    from gkm.storage import absolute
    from gkm.study.record.archive import read_results
    from gkm.study.record.export import export_study

    if Path(out).suffix != ".parquet":
        raise InputError(f"{out}: the table is written as Parquet; give a file name that ends with .parquet")
    rows = export_study(read_results(record_place(record, workspace), name), out)
    say(f"{absolute(out)}: {rows} rows")


def replay(
    name: NAME,
    pruner: Annotated[str, typer.Option(help="Stopping rule: none, asha:first_rung_epochs=3, ...")] = "none",
    sampler: Annotated[
        str | None, typer.Option(show_default="the recorded settings", help="tpe, gp, random, cmaes or nsga2.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often to play it, each time with another seed.")] = 20,
    slots: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 2,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    record: RECORD = None,
) -> None:
    """Play a recorded study again with other rules, without training: what would have been found, and for how much?

    Examples:
      python pipelines/study.py replay quick --pruner asha:first_rung_epochs=3,reduction_factor=3
      python pipelines/study.py replay quick --pruner median --sampler tpe --seeds 50
    """
    from gkm.study.design.specify import parse_sampler, parse_stopping
    from gkm.study.insight.replay import replay_study
    from gkm.study.record.archive import read_results
    from pipelines.terminal.study_tables import replay_tables

    rules = parse_stopping(pruner), parse_sampler(sampler) if sampler else None
    results = read_results(record_place(record, workspace), name)
    rows = replay_study(results, stopping=rules[0], sampler=rules[1], seeds=range(seeds), slots=slots)
    show(replay_tables(results, rows))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_studies,
    "show": show_study,
    "stop": stop,
    "compare": compare,
    "export": export,
    "replay": replay,
}
"""Name -> command."""

if __name__ == "__main__":
    run_group(COMMANDS, "List, show, stop, compare, export and replay studies.")
