"""A study in; which settings mattered, who passed which rung, and how to open its record, as the page says it, out."""

from __future__ import annotations

import shlex
from typing import Any

from gkm.report.figures.bars import rung_bar, share_bar
from gkm.report.tables.names import long_name
from gkm.study.insight.insight import Importances, importances, rung_survival
from gkm.study.record.results import StudyResults


def insight_section(study: StudyResults) -> dict[str, Any]:
    """Which settings mattered, and who passed which rung."""
    found = importances(study)
    rungs = rung_survival(study)
    most = max((row.reached for row in rungs), default=0)
    return {
        "importance_rows": [
            (long_name(path), f"{100 * share:.0f} %", share_bar(share, f"{long_name(path)}: {100 * share:.0f} %"))
            for path, share in (found.shares or {}).items()
        ],
        "importance_note": _importance_note(found),
        "rung_rows": [(row, rung_bar(row, most)) for row in rungs if row.reached],
    }


def opening(study: StudyResults) -> list[tuple[str, str]]:
    """What the record is, and the commands that show it: label -> command."""
    commands = [("In the terminal", f"gkm study show {shlex.quote(study.name)}")]
    if study.record:
        commands.append(("In the browser", f"optuna-dashboard {shlex.quote(study.record)}"))
    return commands


def onward(version: int | None, data: str) -> list[tuple[str, str]]:
    """What can be done with the registered model, also on the study's data set `data`: label -> command."""
    if version is None:
        return []
    place = f" --data {shlex.quote(data)}" if data else ""
    return [
        ("Promote it, if it passes the gates", f"gkm promote --version {version}"),
        (
            "Score it with noise, beside published figures",
            f"gkm evaluate --model {version}{place} --noise paper --published dpd",
        ),
        ("Deblur a photograph with it", f"gkm deblur PHOTO --out restored --model {version}"),
    ]


def _importance_note(found: Importances) -> str:
    if found.shares is None:
        return f"No importances: {found.reason}."
    left = "; ".join(f"{long_name(path)} {why}" for path, why in found.left_out.items())
    return f"From {found.settings} settings." + (f" Left out: {left}." if left else "")
