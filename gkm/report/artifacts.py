"""A study and its report page in; both, and what the page says, kept with the study's run in MLflow, out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from gkm import storage
from gkm.study.insight.insight import importances, rung_survival
from gkm.study.record.export import export_study
from gkm.study.record.results import StudyResults
from gkm.tracking import NOTE, Tracking

FOLDER = "report"
TRIALS = "trials.parquet"
INSIGHT = "insight.json"
_VERDICT = "**Verdict.**"


def keep(tracking: Tracking, study: StudyResults, page: Path, beside: Sequence[str] = ()) -> None:
    """Keep the page, the files `beside` it, a table of trials, importances, rungs and the Pareto front as artifacts.

    Those of an earlier report are replaced. Nothing is kept of a study without a run.
    """
    if not study.run_id:
        return
    with tempfile.TemporaryDirectory(prefix="gkm-") as folder:
        table, insight = (Path(folder, name) for name in (TRIALS, INSIGHT))
        for place in map(str, (page, *beside)):  # which may be in S3
            Path(folder, PurePath(place).name).write_bytes(storage.read_bytes(place))
        export_study(study, str(table))
        insight.write_text(json.dumps(_insight(study), indent=2) + "\n", encoding="utf-8")
        for path in sorted(Path(folder).iterdir()):
            tracking.log_file(study.run_id, path, FOLDER)


def describe(tracking: Tracking, study: StudyResults, sentences: Sequence[str]) -> None:
    """Have the description of the study's run say the verdict, in place of an earlier one. Without a run, nothing."""
    if not study.run_id:
        return
    first, *others = tracking.tags(study.run_id).get(NOTE, f"Study **{study.name}**.").split("\n\n")
    rest = [paragraph for paragraph in others if not paragraph.startswith(_VERDICT)]
    tracking.set_tags(study.run_id, {NOTE: "\n\n".join([first, f"{_VERDICT} {' '.join(sentences)}", *rest])})


def _insight(study: StudyResults) -> dict[str, Any]:
    found = importances(study)
    return {
        "importances": None if found.shares is None else dict(found.shares),
        "importances_reason": found.reason,
        "rungs": [
            {"epoch": row.epoch, "reached": row.reached, "stopped": row.stopped, "went_on": row.went_on}
            for row in rung_survival(study)
        ],
        "pareto_front": [trial.number for trial in study.front] if len(study.objectives) > 1 else None,
    }
