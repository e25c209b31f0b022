"""A study under way in; the header, table and figures that a user watches out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gkm.study.decisions.standing import Standing, duration, short

if TYPE_CHECKING:
    from gkm.study.record.results import TrialRow
    from gkm.study.record.statuses import TrialStatus

_COLOURS: dict[TrialStatus, str] = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "failed": "red",
    "interrupted": "magenta",
}


def header(name: str, standing: Standing) -> list[str]:
    """Two lines: how far, and how much is spent and left."""
    results, spent = standing.results, standing.spent
    assert results is not None
    first = [f"study {name}: {standing.progress} done"]
    if standing.running:
        first[0] += f", {len(standing.running)} running"
    if ranked := standing.ranked:
        gain = standing.gain(ranked[0])
        over = "" if gain is None else f", {gain:+.2f} dB over the blurred input"
        first.append(f"best {value(ranked[0], standing)}{over} (trial {ranked[0].number})")
    budget = results.budget
    used = [duration(spent.hours * 3600) + (f" of {budget.hours:g} hours" if budget.hours is not None else "")]
    used.append(f"{spent.epochs}{'' if budget.epochs is None else f' of {budget.epochs}'} epochs")
    if budget.cost is not None:
        used.append(f"{spent.cost:.2f} of {budget.cost:g} in money")
    second = [f"spent {', '.join(used)}"]
    left = standing.seconds_left_in_all()
    if left is not None and standing.running:
        second.append(f"about {duration(left)} left")
    return ["; ".join(first), "; ".join(second)]


def table(standing: Standing, sections: Sequence[tuple[str, list[TrialRow]]]) -> Table:
    """The table of trials, with a (heading, trials) for each of its parts."""
    rows = standing.rows
    several_seeds = len({row.seed for row in rows}) > 1
    named = any(row.arm for row in rows)
    paths = list(dict.fromkeys(path for row in rows for path in row.parameters))
    found = Table(box=None, pad_edge=False, header_style="bold")
    found.add_column("trial", justify="right", no_wrap=True)
    heading = "arm" if named else ", ".join(path.rpartition(".")[2] for path in paths)
    found.add_column(heading, overflow="fold", max_width=36)
    if several_seeds:
        found.add_column("seed", justify="right")
    for title, justify in (("", "left"), ("epoch", "right"), ("", "left"), ("best", "right"), ("gain", "right")):
        found.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    found.add_column("left", justify="right", no_wrap=True)
    for heading, chosen in sections:
        if heading:
            found.add_row("", Text(heading, style="bold"))
        for row in chosen:
            gain = standing.gain(row)
            left = standing.seconds_left(row) if row.status == "running" else None
            found.add_row(
                str(row.number),
                Text(settings(row, paths)),
                *([str(row.seed)] if several_seeds else []),
                Text(f"{row.status}{' (confirms)' if row.phase == 'confirm' else ''}", _COLOURS.get(row.status, "dim")),
                f"{row.epochs}/{standing.epochs}",
                ProgressBar(total=standing.epochs, completed=row.epochs, width=10),
                "" if row.best_epoch is None else value(row, standing),
                "" if gain is None else f"{gain:+.2f}",
                "" if left is None else duration(left),
            )
    return found


def settings(row: TrialRow, paths: Sequence[str] = (), named: bool = False) -> str:
    """A trial's searched settings in short; `paths` puts them in order and leaves a dash where one is not there."""
    if row.arm:
        return row.arm
    if named:
        return ", ".join(f"{path.rpartition('.')[2]} = {short(value)}" for path, value in row.parameters.items())
    return " ".join(short(row.parameters[path]) if path in row.parameters else "–" for path in paths)


def progress(row: TrialRow, standing: Standing) -> str:
    """How far a running trial is."""
    if not row.epochs:
        return "at its first epoch"
    return f"epoch {row.epochs}/{standing.epochs} {value(row, standing)}"


def value(row: TrialRow, standing: Standing) -> str:
    """The best value of a trial so far, with its unit."""
    if standing.results is None or row.best_epoch is None:
        return ""
    return standing.results.objectives[0].text(row.score)
