"""A study's facts and rows in; how MLflow should show them (names, tags, parameters, metrics) out; nothing is written.

A study is a parent run. A trial is a run below it, or below the run of its setting where that is trained with several
seeds. What a run should look like follows from the record alone, so that showing it again changes nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev

from gkm.study.mirror.facts import StudyFacts
from gkm.study.mirror.notes import setting_note, study_note, trial_note
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import ENDED, IN_ORDER, SCORED
from gkm.tracking import NOTE, SEARCHED_PREFIX, Point, Status, to_text

NOT_METRICS = ("epoch", "time", "note")
EPOCHS_TAG, WEIGHTS_TAG, FILES_TAG = "gkm.epochs", "gkm.weights_epoch", "gkm.files_epoch"
"""What of a trial its run has: metrics up to an epoch, the weights of an epoch, files as they were at an epoch."""
_NOT_IN_KEYS = re.compile(r"[^\w./ :-]", re.ASCII)
"""What MLflow refuses in the key of a parameter."""
REMOVABLE_TAGS = ("gkm.reason", "gkm.note", "gkm.rung", "gkm.best_run", "gkm.best_trial")
"""Tags that are taken away where they do not hold any more."""


@dataclass(frozen=True)
class Look:
    """How a run should look."""

    name: str
    status: Status
    tags: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """Metrics that belong to no epoch."""
    step: int = 0
    """Where on their axis: what has a value that grows old, such as a mean of more and more seeds, moves on."""
    started: float | None = None
    """Unix seconds; None: when the run is made."""
    ended: float | None = None
    """Unix seconds; None: when it is heard of."""


def below_setting(facts: StudyFacts, row: TrialRow) -> bool:
    """Whether a trial's run hangs below the run of its setting."""
    return facts.seeds > 1 or row.phase == "confirm"


def trial_look(facts: StudyFacts, row: TrialRow, parent: str) -> Look:
    """The run of a trial, below the run `parent`; its epochs come from `points`."""
    tags = {
        **_common(facts, "trial", row.status, row.reason, parent),
        "gkm.number": str(row.number),
        "gkm.trial": f"{facts.name}/{row.number}",
        "gkm.group": str(row.group),
        "gkm.seed": str(row.seed),
        "gkm.phase": row.phase,
        "gkm.searched": _searched(row),
        "gkm.fingerprint": row.config.fingerprint(),
        NOTE: trial_note(facts, row),
    }
    if row.arm is not None:
        tags["gkm.arm"] = row.arm
    if row.complexity:
        tags["gkm.complexity"] = json.dumps(dict(row.complexity), sort_keys=True)
    reached = [rung for rung in facts.rungs if rung <= row.epochs]
    if reached:
        tags["gkm.rung"] = str(len(reached) - 1)
    if row.notes:
        tags["gkm.note"] = "; ".join(row.notes)
    first, last = (row.history[0], row.history[-1]) if row.history else ({}, {})
    started = first["time"] - first.get("seconds", 0.0) if "time" in first else None
    return Look(_trial_name(facts, row), row.status, tags, _settings(row), started=started, ended=last.get("time"))


def points(row: TrialRow, after: int) -> list[Point]:
    """All metrics of the epochs after `after`, with the times at which they were measured."""
    return [
        Point(key, float(value), int(metrics["epoch"]), round(metrics.get("time", 0.0) * 1000))
        for metrics in row.history
        if metrics["epoch"] > after
        for key, value in metrics.items()
        if key not in NOT_METRICS
    ]


def setting_look(facts: StudyFacts, rows: Sequence[TrialRow], parent: str) -> Look:
    """The run of a setting with the trials `rows`, of which those `below_setting` hang below it."""
    lead = min(rows, key=lambda row: row.number)
    members = [row for row in rows if below_setting(facts, row)]
    tags = {
        **_common(facts, "setting", "running", None, parent),
        "gkm.group": str(lead.group),
        "gkm.searched": _searched(lead),
        NOTE: setting_note(facts, lead, members),
    }
    if lead.arm is not None:
        tags["gkm.arm"] = lead.arm
    status = _together([row.status for row in members])
    tags["gkm.status"] = status
    settings = {key: text for key, text in _settings(lead).items() if not key.endswith("training.seed")}
    name = f"{facts.name} / {lead.arm or f'setting {lead.group}'}"
    metrics: dict[str, float] = {}
    if all(row.status in ENDED for row in members):
        for phase, prefix in (("search", "best"), ("confirm", "confirm")):
            scored = [row for row in members if row.phase == phase and row.status in SCORED]
            metrics |= _spread(f"{prefix}/{facts.objectives[0].metric}", [r.score for r in scored if r.best_epoch])
    times = [row.history[-1].get("time") for row in members if row.history]
    ended = max((time for time in times if time is not None), default=None)
    return Look(name, status, tags, settings, metrics, step=len(members), ended=ended)


def study_look(facts: StudyFacts, results: StudyResults | None, run_ids: Mapping[int, str]) -> Look:
    """The parent run while the study runs (`results` None), or as it ended."""
    status: Status = "running" if results is None else results.status
    tags = {
        **_common(facts, "study", status, None if results is None else results.reason, None),
        "gkm.record_address": facts.record,
        "gkm.study_kind": facts.kind,
        "gkm.objectives": json.dumps([asdict(objective) for objective in facts.objectives]),
        "gkm.base": facts.base,
        NOTE: study_note(facts, results),
    }
    parameters = _varied(facts.parameters)
    metrics = {**facts.blurred, **{f"planned/{key}": value for key, value in facts.planned.items()}}
    if results is None:
        return Look(facts.name, status, tags, parameters, metrics)
    metrics |= {f"spent/{key}": float(value) for key, value in asdict(results.spent).items()}
    metrics |= {f"trials/{word}": float(results.count(word)) for word in IN_ORDER if word != "running"}
    best = results.best
    if best is not None:
        tags["gkm.best_trial"] = str(best.number)
        if best.number in run_ids:
            tags["gkm.best_run"] = run_ids[best.number]
        values = {objective.metric: best.value(objective.metric) for objective in facts.objectives}
        metrics |= {f"best/{metric}": value for metric, value in values.items() if value is not None}
    metrics = {key: value for key, value in metrics.items() if math.isfinite(value)}
    return Look(facts.name, status, tags, parameters, metrics, step=results.spent.epochs)


def _varied(parameters: Mapping[str, str]) -> dict[str, str]:
    """What is varied, under keys that MLflow takes: paths as they are, names of arms such as "SRAM*" as "SRAM_"."""
    keyed: dict[str, str] = {}
    for name, text in parameters.items():
        key = wanted = f"space.{_NOT_IN_KEYS.sub('_', name)}"
        count = 1
        while key in keyed:
            count += 1
            key = f"{wanted} {count}"
        keyed[key] = text
    return keyed


def _common(facts: StudyFacts, kind: str, status: str, reason: str | None, parent: str | None) -> dict[str, str]:
    tags = {
        **facts.tags,
        "gkm.kind": kind,
        "gkm.study": facts.name,
        "gkm.record": facts.record_id,
        "gkm.data": facts.data_fingerprint,
        "gkm.data_location": facts.data,
        "gkm.status": status,
    }
    if reason:
        tags["gkm.reason"] = reason
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    return tags


def _settings(row: TrialRow) -> dict[str, str]:
    """All settings, and first those that were searched."""
    searched = {"arm": row.arm} if row.arm is not None else {}
    front = {f"{SEARCHED_PREFIX}{path}": to_text(value) for path, value in {**searched, **row.parameters}.items()}
    return {**front, **{path: to_text(value) for path, value in row.config.flat().items()}}


def _searched(row: TrialRow) -> str:
    return json.dumps({path: json.loads(_json(value)) for path, value in row.parameters.items()})


def _json(value: object) -> str:
    text = to_text(value)
    return json.dumps(text) if isinstance(value, str) else text


def _trial_name(facts: StudyFacts, row: TrialRow) -> str:
    words = [f"confirm {row.number}" if row.phase == "confirm" else str(row.number)]
    if row.arm is not None:
        words.append(row.arm)
    if facts.seeds > 1:
        words.append(f"seed {row.seed}")
    return f"{facts.name} / {' '.join(words)}"


def _together(statuses: Sequence[Status]) -> Status:
    """The status of a setting from those of its trials."""
    if not statuses or "running" in statuses or ("waiting" in statuses and "interrupted" not in statuses):
        return "running"
    if "interrupted" in statuses:
        return "interrupted"
    return next((word for word in ("finished", "stopped", "refused") if word in statuses), "failed")


def _spread(metric: str, scores: Sequence[float]) -> dict[str, float]:
    if not scores:
        return {}
    count = "n" if metric.startswith("best/") else "confirm/n"
    spread = {f"{metric}_std": stdev(scores)} if len(scores) > 1 else {}
    return {metric: fmean(scores), **spread, count: float(len(scores))}
