"""A study's name in; all its trials as one table, read from the tracking store, out."""

from __future__ import annotations

from dataclasses import dataclass

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.tracking import Tracking, TrialRecord
from gkm.trial import SELECTION_METRIC


@dataclass(frozen=True)
class TrialRow:
    """One trial of a study."""

    number: int
    trial_id: str
    run_id: str
    status: str
    """"finished", "stopped" (by ASHA), "failed" or "running"."""
    reason: str | None
    """Why it was stopped or failed."""
    config: TrialConfig
    parameters: dict[str, object]
    """The searched settings alone, by dotted path."""
    history: list[dict[str, float]]
    """Validated epochs: "epoch", "train/loss", "val/psnr", "val/ssim", "val/loss", "learning_rate", "seconds"."""

    @property
    def best_epoch(self) -> dict[str, float] | None:
        """The epoch whose weights were kept; None before the first validation."""
        scored = [metrics for metrics in self.history if SELECTION_METRIC in metrics]
        return max(scored, key=lambda metrics: metrics[SELECTION_METRIC], default=None)

    @property
    def score(self) -> float:
        """The selection metric at the best epoch; minus infinity before the first validation."""
        best = self.best_epoch
        return float("-inf") if best is None else best[SELECTION_METRIC]

    @property
    def seconds(self) -> float:
        """Time spent training and validating."""
        return max((metrics.get("seconds", 0.0) for metrics in self.history), default=0.0)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return int(max((metrics["epoch"] for metrics in self.history), default=0))


@dataclass(frozen=True)
class StudyResults:
    """All trials of a study, by number."""

    name: str
    run_id: str
    metric: str
    mode: str
    data_fingerprint: str
    tags: dict[str, str]
    trials: tuple[TrialRow, ...]

    @property
    def best(self) -> TrialRow | None:
        """The trial with the best validated epoch; failed ones count for what they had reached before."""
        scored = [trial for trial in self.trials if trial.best_epoch is not None and trial.status != "failed"]
        return max(scored, key=lambda trial: (trial.score, -trial.number), default=None)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Dotted paths of the searched settings, in the order of the first trial that has each."""
        return tuple(dict.fromkeys(path for trial in self.trials for path in trial.parameters))

    def count(self, status: str) -> int:
        """Trials that ended so."""
        return sum(1 for trial in self.trials if trial.status == status)


def load_study(tracking: Tracking, name: str) -> StudyResults:
    """The study called `name`; InputError lists the studies that exist where it does not."""
    run_id = tracking.find_study(name)
    if run_id is None:
        known = ", ".join(tracking.study_names()) or "none yet"
        raise InputError(f"study {name}: is not in the tracking store (there: {known}); check --study and --workspace")
    tags = tracking.tags(run_id)
    trials = sorted((_row(record) for record in tracking.trials(run_id)), key=lambda trial: trial.number)
    return StudyResults(name, run_id, SELECTION_METRIC, "max", tags.get("gkm.data", ""), tags, tuple(trials))


def _row(record: TrialRecord) -> TrialRow:
    return TrialRow(
        number=-1 if record.number is None else record.number,
        trial_id=record.trial_id,
        run_id=record.run_id,
        status=record.status,
        reason=record.reason,
        config=record.config,
        parameters=dict(record.searched),
        history=record.history,
    )
