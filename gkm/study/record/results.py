"""The record of a study in; all its trials as one immutable table out.

What follows from a table is worked out once: pages of studies of thousands of trials ask for it for every trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Literal

from gkm.config import TrialConfig
from gkm.study.design.budget import Budget, Spent
from gkm.study.design.objective import PSNR, Objective, pareto_front
from gkm.study.record.statuses import IN_ORDER, SCORED, StudyStatus, TrialStatus

Phase = Literal["search", "confirm"]


@dataclass(frozen=True)
class TrialRow:
    """One trial: one setting with one training seed."""

    number: int
    status: TrialStatus
    config: TrialConfig
    parameters: dict[str, object] = field(default_factory=dict)
    """The searched settings alone, by dotted path; for named arms those in which the arm differs from the base."""
    history: tuple[dict[str, float], ...] = ()
    """Validated epochs as reported: "epoch", "train/loss", "val/psnr", ..., "best/val/psnr", "seconds", "time"."""
    reason: str | None = None
    """Why it was stopped, refused or failed."""
    seed: int = 0
    """The training seed."""
    group: int = 0
    """The number of the first trial with the same settings: its replicates with other seeds share it."""
    arm: str | None = None
    """The name of the settings in an ablation."""
    phase: Phase = "search"
    place: str = ""
    """Where the trial keeps checkpoints, its best weights and pictures; see `gkm.training.store`."""
    run_id: str | None = None
    """Its run in MLflow, once it is there."""
    notes: tuple[str, ...] = ()
    """What happened on the way, such as a damaged checkpoint that was passed over."""
    photographs: tuple[float, ...] | None = None
    """The first objective's per-photograph scores (PSNR in dB) of the weights kept, in the study's order."""
    complexity: Mapping[str, float] = field(default_factory=dict)
    """"parameters" and "multiply_adds" (per pixel)."""
    metric: str = PSNR.metric
    mode: Literal["max", "min"] = "max"

    @cached_property
    def best_epoch(self) -> dict[str, float] | None:
        """The epoch whose weights were kept; None before the first validation."""
        scored = [metrics for metrics in self.history if self.metric in metrics]
        if not scored:
            return None
        sign = 1 if self.mode == "max" else -1
        return max(scored, key=lambda metrics: sign * metrics[self.metric])

    @cached_property
    def score(self) -> float:
        """The first objective at the best epoch; the worst possible value before the first validation."""
        best = self.best_epoch
        return Objective(self.metric, self.mode).worst if best is None else best[self.metric]

    @property
    def seconds(self) -> float:
        """Time spent training and validating."""
        return max((metrics.get("seconds", 0.0) for metrics in self.history), default=0.0)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return int(max((metrics["epoch"] for metrics in self.history), default=0))

    def value(self, metric: str) -> float | None:
        """`metric` at the best epoch, or as known of the network; None where it is not known yet."""
        if metric in self.complexity:
            return self.complexity[metric]
        best = self.best_epoch
        return None if best is None else best.get(metric)


@dataclass(frozen=True)
class SettingRow:
    """One setting over its training seeds."""

    trials: tuple[TrialRow, ...]
    """By seed; those of the search first, then those of the confirmation."""

    @property
    def lead(self) -> TrialRow:
        """The first trial, whose number names the setting."""
        return self.trials[0]

    @property
    def number(self) -> int:
        return self.lead.group

    def scores(self, phase: Phase | None = None) -> list[float]:
        """Of trials that ran to their end."""
        return [t.score for t in self.trials if t.status == "finished" and phase in (None, t.phase)]

    def mean(self, phase: Phase | None = None) -> float | None:
        """Mean score over the seeds that ran to their end; None where none did."""
        scores = self.scores(phase)
        return fmean(scores) if scores else None

    @cached_property
    def judged(self) -> tuple[TrialRow, ...]:
        """The trials that speak for the setting: those of fresh seeds, else those that ended, else all with a score."""
        scored = tuple(t for t in self.trials if t.best_epoch is not None and t.status != "failed")
        finished = tuple(trial for trial in scored if trial.status == "finished")
        return tuple(trial for trial in finished if trial.phase == "confirm") or finished or scored

    @property
    def confirmed(self) -> float | None:
        """Mean score over the fresh seeds of the confirmation."""
        return self.mean("confirm")


@dataclass(frozen=True)
class StudyResults:
    """All trials of a study, by number."""

    name: str
    trials: tuple[TrialRow, ...]
    status: StudyStatus = "finished"
    reason: str | None = None
    """Why it was interrupted or failed."""
    record_id: str = ""
    """The unique id of the study's record."""
    record: str = ""
    """Where the record lies: an Optuna storage, passwords blotted out."""
    run_id: str = ""
    """The study's parent run in MLflow; empty while there is none."""
    objectives: tuple[Objective, ...] = (PSNR,)
    data_fingerprint: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    """What it was made with: commit, versions, space fingerprint."""
    kind: Literal["search", "grid", "arms"] = "search"
    reference: str | None = None
    """The arm that the others are compared with."""
    photographs: tuple[str, ...] = ()
    """The validation photographs, "scene/name", in the order of `TrialRow.photographs`."""
    blurred: tuple[float, ...] = ()
    """PSNR in dB of those photographs as they are, blurred."""
    rungs: tuple[int, ...] = ()
    """Epochs at which trials may be stopped."""
    budget: Budget = field(default_factory=Budget)
    spent: Spent = field(default_factory=Spent)
    planned: dict[str, float] = field(default_factory=dict)
    """What was expected when the study started: "trial_epochs", "device_hours", "cost"."""
    confirm_settings: int = 0
    """Settings that were (or will be) trained again with fresh seeds."""

    @property
    def metric(self) -> str:
        return self.objectives[0].metric

    @property
    def mode(self) -> str:
        return self.objectives[0].mode

    @cached_property
    def settings(self) -> tuple[SettingRow, ...]:
        """Trials grouped by setting, by number."""
        groups: dict[int, list[TrialRow]] = {}
        for trial in self.trials:
            groups.setdefault(trial.group, []).append(trial)
        ordered = (sorted(group, key=lambda t: (t.phase == "confirm", t.number)) for group in groups.values())
        return tuple(SettingRow(tuple(group)) for group in sorted(ordered, key=lambda group: group[0].group))

    @cached_property
    def ranked(self) -> tuple[SettingRow, ...]:
        """Settings by their mean over the search's seeds, best first; those not finished with every seed come after."""
        objective = self.objectives[0]
        sign = -1 if objective.mode == "max" else 1

        def key(setting: SettingRow) -> tuple[bool, float, int]:
            searched = [trial for trial in setting.trials if trial.phase == "search"]
            done = [trial.score for trial in searched if trial.best_epoch is not None and trial.status != "failed"]
            unfinished = any(trial.status != "finished" for trial in searched)
            return (len(searched) > 1 and unfinished, sign * fmean(done) if done else float("inf"), setting.number)

        scored = [s for s in self.settings if any(t.best_epoch and t.status != "failed" for t in s.trials)]
        return tuple(sorted(scored, key=key))

    @cached_property
    def winner(self) -> SettingRow | None:
        """The best setting: by the fresh seeds of the confirmation where there are any, else by the search."""
        objective = self.objectives[0]
        confirmed = [setting for setting in self.settings if setting.confirmed is not None]
        if confirmed:
            sign = 1 if objective.mode == "max" else -1
            return max(confirmed, key=lambda s: (sign * (s.confirmed or 0.0), -s.number))
        return self.ranked[0] if self.ranked else None

    @cached_property
    def best(self) -> TrialRow | None:
        """The trial to register: of the winning setting the one whose kept weights score best."""
        if self.winner is None:
            return None
        scored = [t for t in self.winner.trials if t.best_epoch is not None and t.status != "failed"]
        sign = 1 if self.mode == "max" else -1
        return max(scored, key=lambda trial: (sign * trial.score, -trial.number), default=None)

    @cached_property
    def front(self) -> tuple[TrialRow, ...]:
        """The trials that no other one beats in all objectives; for one objective the best alone."""
        points: dict[int, list[float]] = {}
        for trial in self.trials:
            values = [trial.value(objective.metric) for objective in self.objectives]
            if trial.status in SCORED and None not in values:
                points[trial.number] = [value for value in values if value is not None]
        by_number = {trial.number: trial for trial in self.trials}
        return tuple(by_number[number] for number in pareto_front(points, self.objectives)) if points else ()

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Dotted paths of the searched settings, in the order of the first trial that has each."""
        return tuple(dict.fromkeys(path for trial in self.trials for path in trial.parameters))

    def count(self, status: TrialStatus, phase: Phase | None = None) -> int:
        """Trials that ended so."""
        return sum(1 for trial in self.trials if trial.status == status and phase in (None, trial.phase))

    def summary(self) -> str:
        """How many trials ended how, such as "5 finished, 3 stopped"."""
        return ", ".join(f"{self.count(status)} {status}" for status in IN_ORDER if self.count(status)) or "none yet"
