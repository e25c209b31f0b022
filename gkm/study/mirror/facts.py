"""What a study's driver knows of it in; what MLflow shows of it beside its trials, as a value, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gkm.study.design.objective import PSNR, Objective


@dataclass(frozen=True)
class StudyFacts:
    """What the run of a study shows, beside its trials."""

    name: str
    record_id: str
    record: str = ""
    """Where the record lies, passwords blotted out."""
    kind: str = "search"
    tags: Mapping[str, str] = field(default_factory=dict)
    """What it was made with: commit, versions, fingerprints, the seed of the search."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What is varied, in words, by dotted path."""
    base: str = ""
    """The settings that all trials share, as JSON."""
    objectives: tuple[Objective, ...] = (PSNR,)
    data: str = ""
    """Where the data set lies."""
    data_fingerprint: str = ""
    data_name: str = "data"
    planned: Mapping[str, float] = field(default_factory=dict)
    """What was expected: "trial_epochs", "device_hours", "cost"."""
    blurred: Mapping[str, float] = field(default_factory=dict)
    """Mean scores of the validation photographs as they are, such as "val/blurred_psnr"."""
    seeds: int = 1
    """Training seeds of each setting in the search."""
    rungs: tuple[int, ...] = ()
    """Epochs at which trials may be stopped."""
