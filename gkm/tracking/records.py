"""What the store knows about studies and trials, as plain values; and the one spelling of each parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from gkm.config import TrialConfig

Status = Literal["waiting", "running", "interrupted", "finished", "stopped", "failed", "refused"]
"""What became of a trial: "stopped" before its last epoch, "refused" before its first, "failed" for a reason kept
beside it, "interrupted" when nobody trains it now."""
MLFLOW_STATUS: dict[Status, str] = {
    "waiting": "SCHEDULED",
    "running": "RUNNING",
    "interrupted": "KILLED",
    "finished": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
    "refused": "FAILED",
}
"""The nearest of MLflow's own words."""
SEARCHED_PREFIX = "_"
"""Begins the names of parameters that repeat what was searched: MLflow sorts by name, and shows them first."""


@dataclass(frozen=True)
class StudyRun:
    """The parent run of a study."""

    run_id: str
    name: str
    adopted: bool
    """Whether the run was there already."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the store has it."""

    run_id: str
    trial_id: str
    number: int | None
    status: Status
    reason: str | None
    tags: dict[str, str]
    params: dict[str, str]
    searched: dict[str, Any]
    """The parameters the study varied, dotted path -> value."""
    history: list[dict[str, float]]
    """One entry per reported epoch, in order: "epoch", its metrics and, where they were asked for, its "time"."""
    status_in_mlflow: str = ""
    """MLflow's own word."""
    started_seconds: float = 0.0
    """When the run was made, in Unix seconds."""

    @property
    def config(self) -> TrialConfig:
        """The trial's settings, read back from its parameters."""
        values = {key: from_text(text) for key, text in self.params.items() if not key.startswith(SEARCHED_PREFIX)}
        return TrialConfig().with_values(values, source=f"run {self.run_id}")


def to_text(value: object) -> str:
    """One spelling per value: text as it is, all else as JSON (0.1, true, null); NumPy scalars are plain numbers."""
    return value if isinstance(value, str) else json.dumps(plain(value), sort_keys=True, default=str)


def from_text(text: str) -> Any:
    """The value that `to_text` spelt."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """`value`, or the Python number in a NumPy scalar."""
    return value.item() if hasattr(value, "item") else value
