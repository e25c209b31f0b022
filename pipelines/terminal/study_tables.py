"""Results of studies in; the tables and lines that `study.py` prints out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from gkm.study.decisions.standing import duration, short

if TYPE_CHECKING:
    from gkm.study.insight.replay import ReplayRow
    from gkm.study.insight.statistics import Interval
    from gkm.study.record.archive import Entry
    from gkm.study.record.results import StudyResults

_WORDS = {"trials": "trials", "epochs": "epochs", "hours": "hours", "cost": "in money"}


def entries_table(entries: Sequence[Entry]) -> Table:
    """A row for each study."""
    table = _table("study", "status", ">trials", ">best", "begun", "run by")
    for entry in entries:
        results = entry.results
        if results is None:
            table.add_row(entry.name, "unreadable")
            continue
        best = "" if results.best is None else results.objectives[0].text(results.best.score)
        begun = "" if entry.created is None else f"{entry.created:%Y-%m-%d %H:%M}"
        table.add_row(entry.name, results.status, results.summary(), best, begun, str(entry.holder or ""))
    return table


def headline(entry: Entry) -> Iterator[str]:
    """What the study is and how it stands."""
    results = entry.results
    assert results is not None
    reason = f" ({results.reason})" if results.reason else ""
    yield f"study {entry.name}: {results.status}{reason}; {results.summary()}"
    if entry.holder is not None:
        yield f"run by {entry.holder}"
    objectives = ", ".join(f"{objective.metric} ({objective.mode})" for objective in results.objectives)
    yield f"{results.kind} by {objectives}; data {results.data_fingerprint}"


def trials_table(results: StudyResults) -> Table:
    """A row for each trial."""
    objective, others = results.objectives[0], results.objectives[1:]
    blurred = fmean(results.blurred) if results.blurred and results.metric == "val/psnr" else None
    arms = any(trial.arm for trial in results.trials)
    paths = () if arms else results.parameters
    headings = ["arm"] if arms else [path.rpartition(".")[2] for path in paths]
    gain = [] if blurred is None else [">gain"]
    table = _table(">trial", *headings, ">seed", "status", ">epochs", f">{objective.metric}", ">at", *gain,
                   *(f">{other.metric}" for other in others), ">time")  # fmt: skip
    for trial in results.trials:
        values = [trial.arm or ""] if arms else [short(trial.parameters.get(path, "–")) for path in paths]
        best = trial.best_epoch
        kept = ["", ""] if best is None else [objective.text(trial.score), f"{best['epoch']:.0f}"]
        gained = [] if blurred is None else ["" if best is None else f"{trial.score - blurred:+.2f}"]
        more = ["" if (value := trial.value(other.metric)) is None else other.text(value) for other in others]
        confirms = f", confirms {trial.group}" if trial.phase == "confirm" else ""
        _add(
            table, str(trial.number), *values, str(trial.seed), f"{trial.status}{confirms}", str(trial.epochs), *kept,
            *gained, *more, duration(trial.seconds) if trial.seconds else "",
        )  # fmt: skip
    return table


def settings_tables(results: StudyResults) -> Iterator[Table]:
    """Means over seeds: of an ablation's arms with their verdicts, or of settings that have several seeds."""
    from gkm.study.insight.verdicts import arm_verdicts, setting_rows

    if arms := arm_verdicts(results):
        table = _table("arm", ">mean", ">95 % interval", ">seeds", "against the reference")
        for arm in arms:
            _add(table, arm.name, *_mean(results, arm.interval), str(arm.seeds), arm.sentence)
        yield table
    elif rows := setting_rows(results):
        table = _table("setting", ">mean", ">95 % interval", ">seeds", ">fresh mean", ">95 % interval", ">seeds")
        for row in rows:
            searched, fresh = _mean(results, row.searched), _mean(results, row.fresh)
            _add(table, row.name, *searched, str(row.seeds or ""), *fresh, str(row.fresh_seeds or ""))
        yield table


def findings(results: StudyResults) -> Iterator[str]:
    """What can be said of the winner, and what of the photographs."""
    from gkm.study.insight.verdicts import against_baseline, arm_verdicts, confirmation, scene_note

    if (confirmed := confirmation(results)) is not None:
        yield confirmed.sentence
    compared = [arm.comparison for arm in arm_verdicts(results) if arm.comparison]
    if (first := against_baseline(results)) is not None:
        yield f"{first.name} against {first.reference}, the first tried: {first.sentence}"
        compared.append(first)
    notes = dict.fromkeys(note for comparison in compared for note in comparison.notes)
    yield from (f"note: {note}" for note in notes)
    if compared and (scenes := scene_note(results)) is not None:
        yield f"note: {scenes}"


def accounts(results: StudyResults) -> Iterator[str]:
    """What was allowed, expected and spent."""
    spent = {name: value for name, value in asdict(results.spent).items() if name != "cost" or value}
    yield f"budget: {results.budget}"
    yield f"spent: {', '.join(f'{_figure(value, 4)} {_WORDS[name]}' for name, value in spent.items())}"
    if results.planned:
        words = (f"{name.replace('_', ' ')} {_figure(value, 3)}" for name, value in results.planned.items())
        yield f"planned: {', '.join(words)}"


def _figure(value: float, digits: int) -> str:
    """A number with so many digits, or with all before the point: 120,000 epochs, not 1.2e+05."""
    return f"{value:,.0f}" if 10 ** (digits - 1) <= value < 1e9 else f"{value:.{digits}g}"


def remarks(results: StudyResults) -> Iterator[str]:
    """Why trials ended early, and what happened to them."""
    for trial in results.trials:
        if trial.reason:
            yield f"trial {trial.number} {trial.status}: {trial.reason}"
        yield from (f"trial {trial.number}: {note}" for note in trial.notes)


def replay_tables(results: StudyResults, rows: Sequence[ReplayRow]) -> Table:
    """A row for the study as it was, one for the mean of the replays, and one for each of them."""
    objective = results.objectives[0]
    table = _table("", ">trials", ">stopped", ">epochs", ">hours", ">found", ">regret", ">beyond the record")
    recorded, played = rows[0], rows[1:]
    for row in (recorded, *played):
        table.add_row(
            row.name, str(row.trials), str(row.stopped), str(row.epochs), f"{row.hours:.2f}", objective.text(row.value),
            objective.text(row.regret), str(row.unknown),
        )  # fmt: skip
    if played:
        means = [fmean(getattr(row, name) for row in played) for name in ("trials", "stopped", "epochs", "hours")]
        texts = [f"{mean:.1f}" for mean in means[:3]] + [f"{means[3]:.2f}"]
        found, regret = (objective.text(fmean(getattr(row, name) for row in played)) for name in ("value", "regret"))
        table.add_section()
        table.add_row("mean of the replays", *texts, found, regret, f"{fmean(row.unknown for row in played):.1f}")
    return table


def _table(*headings: str) -> Table:
    """Columns, those that begin with ">" justified to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        title, justify = heading.removeprefix(">"), "right" if heading.startswith(">") else "left"
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def _add(table: Table, *cells: str) -> None:
    """A row of texts as they are: "[x]" in the name of an arm is no markup."""
    table.add_row(*map(Text, cells))


def _mean(results: StudyResults, interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", ""]
    text = results.objectives[0].text
    bounds = "" if interval.low is None or interval.high is None else f"{text(interval.low)} to {text(interval.high)}"
    return [text(interval.mean), bounds]
