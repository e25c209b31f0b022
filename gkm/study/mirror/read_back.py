"""A study's name in; what MLflow has of it, also from version 0.1.0, as a table of trials out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from gkm.study.design.objective import PSNR, Objective
from gkm.study.record.results import Phase, StudyResults, TrialRow
from gkm.study.record.statuses import ENDED, StudyStatus
from gkm.tracking import Tracking, TrialRecord


@dataclass(frozen=True)
class Foreign:
    """A study of the same name in MLflow that another record, or none, stands behind."""

    run_id: str
    record_id: str
    """Empty where version 0.1.0 wrote it, which kept no record."""
    record: str
    """Where its record lies, if it says so."""
    started: str
    """Day and time."""
    status: str

    def __str__(self) -> str:
        behind = f"its record is {self.record}" if self.record else "it has no record"
        return f"a study of {self.started}, {self.status}; {behind}; run {self.run_id}"


def find_foreign(tracking: Tracking, name: str, record_id: str) -> Foreign | None:
    """The newest study called `name` in MLflow that does not belong to the record `record_id`, or None."""
    others = [run for run in tracking.studies(name) if run.data.tags.get("gkm.record") != record_id]
    return foreign(others[-1]) if others else None


def foreign(run: Any) -> Foreign:
    """What the run of another study says of itself."""
    tags = run.data.tags
    started = datetime.fromtimestamp(run.info.start_time / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
    address, status = tags.get("gkm.record_address", ""), tags.get("gkm.status", "running")
    return Foreign(run.info.run_id, tags.get("gkm.record", ""), address, started, status)


def read_study(tracking: Tracking, name: str, record_id: str | None = None) -> StudyResults | None:
    """The study called `name` as MLflow has it: that of `record_id`, or the newest; None where there is none.

    Trials that had not ended when MLflow last heard of them are "interrupted".
    """
    runs = [run for run in tracking.studies(name) if record_id in (None, run.data.tags.get("gkm.record"))]
    if not runs:
        return None
    tags = dict(runs[-1].data.tags)
    run_id = runs[-1].info.run_id
    objectives = tuple(Objective(**entry) for entry in json.loads(tags.get("gkm.objectives", "[]"))) or (PSNR,)
    status = tags.get("gkm.status", "running")
    return StudyResults(
        name=name,
        trials=tuple(_row(record, objectives[0]) for record in _one_a_number(tracking.trials(run_id, times=True))),
        status=cast(StudyStatus, "interrupted" if status == "running" else status),
        reason=tags.get("gkm.reason"),
        record_id=tags.get("gkm.record", ""),
        record=tags.get("gkm.record_address", ""),
        run_id=run_id,
        objectives=objectives,
        data_fingerprint=tags.get("gkm.data", ""),
        tags=tags,
        kind=cast(Any, tags.get("gkm.study_kind", "search")),
    )


def _one_a_number(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Version 0.1.0 could make two runs of one trial: that which ended counts, or else the one that came further."""
    found: dict[int, TrialRecord] = {}
    for record in sorted(records, key=lambda record: (record.started_seconds, record.run_id)):
        if record.number is None:
            continue
        known = found.get(record.number)
        if known is None or _progress(record) > _progress(known):
            found[record.number] = record
    return [found[number] for number in sorted(found)]


def _progress(record: TrialRecord) -> tuple[bool, int]:
    return record.status in ENDED, len(record.history)


def _row(record: TrialRecord, objective: Objective) -> TrialRow:
    tags, config = record.tags, record.config
    number = record.number or 0
    return TrialRow(
        number=number,
        status=record.status if record.status in ENDED else "interrupted",
        config=config,
        parameters=dict(record.searched),
        history=tuple(record.history),
        reason=record.reason,
        seed=config.training.seed,
        group=int(tags.get("gkm.group", number)),
        arm=tags.get("gkm.arm"),
        phase=cast(Phase, tags.get("gkm.phase", "search")),
        run_id=record.run_id,
        complexity=json.loads(tags.get("gkm.complexity", "{}")),
        metric=objective.metric,
        mode=objective.mode,
    )
