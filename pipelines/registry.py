"""The registered model in; its versions, one of them, or what happened to it, out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer

from pipelines.terminal.command import run_group, say, show
from pipelines.terminal.options import DEFAULT_WORKSPACE, TRACKING_URI, WORKSPACE


def history(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many events.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One event a line, with everything that is known.")] = False,
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Show what happened to the registered model, the newest last: who promoted what, when, why and on what evidence.

    Examples:
      python pipelines/registry.py history
      python pipelines/registry.py history --limit 5 --json
    """
    from gkm.registry import events
    from gkm.tracking import open_tracking
    from pipelines.terminal.registry_tables import history_table

    happened = events(open_tracking(workspace, tracking_uri))
    for event in happened[-limit:] if as_json else ():
        typer.echo(json.dumps({key: value for key, value in event.items() if key not in ("aliases", "tags")}))
    if as_json:
        return
    if not happened:
        return say("nothing happened yet: register a model with sweep, train --register or import_model")
    show(history_table(happened[-limit:]))
    if len(happened) > limit:
        say(f"{len(happened) - limit} older events: give --limit {len(happened)}")


def list_versions(workspace: WORKSPACE = DEFAULT_WORKSPACE, tracking_uri: TRACKING_URI = None) -> None:
    """List all versions of the registered model, the newest first, with their aliases.

    Examples:
      python pipelines/registry.py list
    """
    from gkm.registry.versions import aliases, find, versions
    from gkm.tracking import open_tracking
    from pipelines.terminal.registry_tables import versions_table

    tracking = open_tracking(workspace, tracking_uri)
    known = versions(tracking)
    if not known:
        find(tracking, None)  # says what to do
    show(versions_table(known, aliases(tracking)))


def show_version(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Version or alias.")],
    workspace: WORKSPACE = DEFAULT_WORKSPACE,
    tracking_uri: TRACKING_URI = None,
) -> None:
    """Show one version: where it comes from, its model card, and what happened to it.

    Examples:
      python pipelines/registry.py show champion
    """
    from gkm.registry import events
    from gkm.registry.versions import aliases, find
    from gkm.tracking import open_tracking
    from pipelines.terminal.registry_tables import gates_table, history_table, is_told, version_lines

    tracking = open_tracking(workspace, tracking_uri)
    every = events(tracking)  # which has the card say what a process that died left unsaid
    record = find(tracking, version)
    for line in version_lines(record, aliases(tracking)):
        say(line)
    card = record.description or ""
    if card:
        say(f"\n{card}")
    happened = [event for event in every if int(event["version"]) == int(record.version)]
    if happened:
        show(history_table(happened))
    judged = [event for event in happened if event.get("gates")]
    if judged and not is_told(judged[-1], card):
        show(gates_table(judged[-1]))
    say(tracking.ui_link(record.run_id))


COMMANDS: dict[str, Callable[..., None]] = {"history": history, "list": list_versions, "show": show_version}
"""Name -> command."""

if __name__ == "__main__":
    run_group(COMMANDS, "Show the versions of the registered model and their history.")
