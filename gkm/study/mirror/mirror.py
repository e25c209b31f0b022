"""Rows of a study's record in; the study shown to whoever looks on, out.

The record is the truth and MLflow shows it. MLflow may be away for a minute or for ever: training never waits for it,
and whatever was missed is sent when it is back, or at the study's next start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gkm.study.mirror.facts import StudyFacts
from gkm.study.mirror.mlflow_mirror import MlflowMirror
from gkm.study.mirror.read_back import Foreign, find_foreign, read_study
from gkm.study.record.results import StudyResults, TrialRow

__all__ = ["Foreign", "Mirror", "MlflowMirror", "NullMirror", "StudyFacts", "find_foreign", "read_study"]


class Mirror(Protocol):
    """Shows a study to whoever looks on."""

    trouble: str | None
    """A sentence while MLflow is away or has not all; None otherwise."""
    conflict: str | None
    """A sentence where MLflow has another study of the same name, which is left alone."""

    def update(self, row: TrialRow) -> None:
        """A trial as it now stands. Returns at once; only the newest row of each trial is kept."""

    def attach(self, path: Path, folder: str | None = None) -> None:
        """A file or folder to be kept with the study; it has to stay until `flush` or `finish` returned."""

    def run_ids(self) -> dict[int, str]:
        """Trial number -> id of its run, as far as they are made."""

    @property
    def study_run_id(self) -> str | None:
        """Id of the study's run; None until it is made."""

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was given is shown; returns whether it is."""

    def finish(self, results: StudyResults, timeout_seconds: float) -> bool:
        """Show how the study ended, once all its trials are; returns whether all is shown."""

    def close(self) -> None:
        """Stop; what is not shown yet stays so."""


class NullMirror:
    """Shows nothing."""

    trouble: str | None = None
    conflict: str | None = None
    study_run_id: str | None = None

    def update(self, row: TrialRow) -> None: ...

    def attach(self, path: Path, folder: str | None = None) -> None: ...

    def run_ids(self) -> dict[int, str]:
        return {}

    def flush(self, timeout_seconds: float) -> bool:
        return True

    def finish(self, results: StudyResults, timeout_seconds: float) -> bool:
        return True

    def close(self) -> None: ...
