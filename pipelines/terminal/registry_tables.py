"""Versions and events of the registered model in; tables and lines for a terminal out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from gkm.registry.card import summary_of

_TAGS = {
    "gkm.study": "study",
    "gkm.trial": "trial",
    "gkm.data": "data",
    "gkm.git_commit": "commit",
    "gkm.seed": "seed",
    "gkm.fingerprint": "settings",
    "gkm.source": "source",
    "gkm.licence": "licence",
    "gkm.weights": "SHA-256 of its weights",
}


def history_table(events: Sequence[Mapping[str, Any]]) -> Table:
    """One event a row."""
    table = Table()
    for heading in ("time (UTC)", "event", "version", "who", "why", "evidence"):
        table.add_column(heading, justify="right" if heading == "version" else "left")
    for event in events:
        why = str(event.get("reason", ""))
        cells = (_time(event["time"]), event["event"], event["version"], event.get("who", ""), why)
        table.add_row(*(escape(str(cell)) for cell in cells), str(event.get("evidence") or ""))
    return table


def gates_table(event: Mapping[str, Any]) -> Table:
    """What the gates found at a promotion, a refusal or a dry run."""
    table = Table(title=f"gates, {_time(event['time'])}: {event['event']}")
    for heading in ("gate", "", "figures"):
        table.add_column(heading)
    for name, passed, figures in event["gates"]:
        table.add_row(escape(name), "pass" if passed else "FAIL", escape(figures))
    return table


def versions_table(versions: Sequence[Any], aliases: Mapping[str, int]) -> Table:
    """One version a row."""
    table = Table()
    for heading in ("version", "aliases", "registered (UTC)", "validation", "test", "data", "what it is"):
        table.add_column(heading, justify="right" if heading == "version" else "left")
    for version in versions:
        tags = version.tags
        registered = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
        table.add_row(
            str(version.version),
            _aliases(version, aliases),
            f"{registered:%Y-%m-%d %H:%M}",
            _decibels(tags.get("gkm.val/psnr")),
            _decibels(tags.get("gkm.test/psnr")),
            escape(tags.get("gkm.data", "")),
            escape(summary_of(version.description or "")),
        )
    return table


def version_lines(version: Any, aliases: Mapping[str, int]) -> list[str]:
    """Where one version comes from, a line each; the rest is in its model card."""
    named = _aliases(version, aliases)
    lines = [f"{version.name} version {version.version}" + (f" ({named})" if named else "")]
    lines += [f"{label}: {version.tags[tag]}" for tag, label in _TAGS.items() if tag in version.tags]
    if "gkm.weights" not in version.tags:
        lines.append("its weights carry no hash: it was registered before there were any")
    return [*lines, f"run: {version.run_id}"]


def is_told(event: Mapping[str, Any], card: str) -> bool:
    """Whether a model card has the gates of this event."""
    return event["event"] != "looked" and _time(event["time"]) in card


def _aliases(version: Any, aliases: Mapping[str, int]) -> str:
    return ", ".join(sorted(alias for alias, number in aliases.items() if number == int(version.version)))


def _decibels(value: str | None) -> str:
    return "" if value is None else f"{float(value):.2f} dB"


def _time(text: str) -> str:
    """ "2026-01-31T12:00:00.000000Z" -> "2026-01-31 12:00:00"."""
    return text[:19].replace("T", " ")
