"""Tune's callbacks in; the state of a study, as listeners show it, and closed runs in the tracking store out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ray import tune

from gkm.tracking import Tracking
from gkm.trial import SELECTION_METRIC

Status = Literal["running", "finished", "stopped", "failed"]


@dataclass
class StudyProgress:
    """Where a study stands."""

    trials: int
    """Trials to run in all."""
    epochs: int
    """Epochs of a trial that is never stopped."""
    status: dict[int, Status] = field(default_factory=dict)
    """By trial number."""
    epoch: dict[int, int] = field(default_factory=dict)
    best: float | None = None
    """Highest selection metric so far, and the trial that reached it."""
    best_trial: int | None = None

    def count(self, status: Status) -> int:
        return sum(1 for value in self.status.values() if value == status)

    @property
    def done(self) -> int:
        """Trials that have ended, however."""
        return len(self.status) - self.count("running")


Listener = Callable[[StudyProgress, str], None]
"""Gets the state and one line about what just happened."""


class StudyCallback(tune.Callback):  # type: ignore[misc]
    """Follows a study on the driver: ends the runs of trials that cannot do so themselves, and tells the listener."""

    listener: ClassVar[Listener | None] = None
    """Of this process; not part of the study's saved state."""

    def __init__(self, tracking: Tracking, study_run_id: str, trials: int, epochs: int) -> None:
        self._tracking = tracking
        self._study_run_id = study_run_id
        self._progress = StudyProgress(trials, epochs)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._update(trial, "running", "started")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        number, value = int(trial.config["trial"]), result.get(SELECTION_METRIC)
        if value is None:
            return
        self._progress.epoch[number] = int(result["epoch"])
        if self._progress.best is None or value > self._progress.best:
            self._progress.best, self._progress.best_trial = value, number
        self._update(trial, "running", f"epoch {int(result['epoch'])}, {SELECTION_METRIC} {value:.2f} dB")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        epoch = int((trial.last_result or {}).get("epoch", 0))
        status: Status = "finished" if epoch >= self._progress.epochs else "stopped"
        reason = None if status == "finished" else f"behind the other trials at epoch {epoch}"
        self._finish(trial, status, reason)
        self._update(trial, status, status if reason is None else f"{status}: {reason}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reason = last_line(trial.get_error())
        self._finish(trial, "failed", reason)
        self._update(trial, "failed", f"failed: {reason}")

    def get_state(self) -> dict[str, Any]:
        return {"progress": self._progress}

    def set_state(self, state: dict[str, Any]) -> None:
        self._progress = state["progress"]

    def _finish(self, trial: Any, status: Status, reason: str | None) -> None:
        run_id = self._tracking.find_trial(self._study_run_id, trial.trial_id)
        if run_id is not None:
            self._tracking.finish(run_id, status, reason)

    def _update(self, trial: Any, status: Status, what: str) -> None:
        number = int(trial.config["trial"])
        self._progress.status[number] = status
        if StudyCallback.listener is not None:
            StudyCallback.listener(self._progress, f"trial {number}: {what}")


def last_line(error: BaseException) -> str:
    """What went wrong, without the way it took."""
    cause = getattr(error, "cause", None) or error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[-1][:500]
