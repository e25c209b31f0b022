"""A study that ends in, however it does; that end written down in the record first and then in MLflow out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from gkm.study.decisions.conductor import Conductor
from gkm.study.execution.watching import Watcher
from gkm.study.mirror.mirror import Mirror
from gkm.study.record.lease import LeaseLostError
from gkm.study.record.record import Record, RecordError
from gkm.study.record.results import StudyResults

MLFLOW_PATIENCE_SECONDS = 60.0
"""How long the end of a study waits for an MLflow that is away."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    results: StudyResults
    signal: int | None = None
    """The signal that ended it early, if one did."""
    failure: str | None = None
    """What has to be mended before it can go on, if something has."""
    worked: bool = True
    """Whether there was anything to do."""
    mirrored: bool = True
    """Whether MLflow has all of it."""


def close(
    record: Record,
    mirror: Mirror,
    conductor: Conductor | None,
    signal: int | None,
    failure: str | None,
    watcher: Watcher,
) -> Outcome:
    """Write down how the study ended, in the record first and then in MLflow."""
    failure = failure or (conductor.failure if conductor else None)
    finished = failure is None and conductor is not None and conductor.is_finished
    try:
        if conductor is not None:
            conductor.close()
        if finished:
            results = record.results()
            broken = results.best is None
            record.set(
                state="failed" if broken else "finished",
                reason=_why_none(results) if broken else (conductor.over_budget() if conductor else None),
            )
        else:
            reason = failure or (conductor.stopping_reason if conductor else None) or "its driver ended"
            record.set(state="interrupted", reason=reason)
    except (RecordError, LeaseLostError) as error:
        failure = failure or str(error)
    live = False
    for number in record.numbers:
        mirror.update(record.row(number, live))
    patience = MLFLOW_PATIENCE_SECONDS if failure is None and signal is None else 15.0
    complete = mirror.finish(record.results(), patience)
    with contextlib.suppress(RecordError, LeaseLostError):
        for number, run_id in mirror.run_ids().items():
            if record.attribute(number, "run_id") != run_id:
                record.note(number, run_id=run_id)
        record.set(run_id=mirror.study_run_id or "", mirrored="all" if complete else "part")
    if not complete:
        watcher.said(f"{mirror.trouble or 'MLflow is behind'}; the same command brings its runs in line")
    results = record.results()
    if not finished and results.status == "running":
        results = replace(results, status="interrupted", reason=failure)
    return Outcome(results, signal, failure, mirrored=complete)


def _why_none(results: StudyResults) -> str:
    reasons = sorted({trial.reason for trial in results.trials if trial.reason})
    return f"no trial was validated ({'; '.join(reasons) or 'none was started'})"
