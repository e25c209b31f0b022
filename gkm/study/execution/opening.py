"""What a study is made of in; its record, opened, made, or made anew from MLflow, and of that very study, out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gkm import storage
from gkm.data.dataset.dataset import Dataset
from gkm.errors import InputError
from gkm.study.design.budget import Budget
from gkm.study.design.design import Design
from gkm.study.execution.workers import WorkerGroup
from gkm.study.mirror.mirror import Mirror, MlflowMirror, StudyFacts
from gkm.study.mirror.read_back import read_study
from gkm.study.mirror.rebuild import rebuild
from gkm.study.record.lease import Lease
from gkm.study.record.record import Record, RecordPlace, create_record, open_record
from gkm.study.record.results import StudyResults
from gkm.tracking import Tracking, environment_tags

if TYPE_CHECKING:
    from gkm.data.reading.cache import NodeCache


@dataclass(frozen=True)
class Study:
    """Everything a study is made of."""

    name: str
    space: Design
    data: str
    """The prepared data set."""
    folder: str
    """Where studies keep their trials' files; this one's is the folder `name` in it."""
    tracking: Tracking
    record: RecordPlace
    cache: NodeCache | str | None = None
    seed: int = 0
    """Of the search: which settings are tried. The seeds of training are settings."""
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    """What each trial runs on: one worker is the trial's own process, several are a Ray Train group."""
    concurrent: int | None = None
    """Trials at a time; None: as many as the cluster can hold."""
    confirm: int | None = None
    """Settings to confirm with fresh seeds; None: as the space says."""
    price_per_hour: float = 0.0
    """Of the whole cluster, for budgets in money."""
    rebuild: bool = False
    """Whether a study of that name on an MLflow server is this one, whose record was lost."""
    planned: dict[str, float] = field(default_factory=dict)
    """What the study is expected to take; shown beside what it took."""

    @property
    def place(self) -> str:
        return storage.join(self.folder, self.name)


def open_study(study: Study, dataset: Dataset, lease: Lease, said: Callable[[str], None]) -> Record:
    """The study's record: as it is, made anew from MLflow where it was lost, or new."""
    record = open_record(study.record, study.name)
    if record is None:
        lost = read_study(study.tracking, study.name)
        if lost is not None and (study.rebuild or study.tracking.is_local) and _is_same(study, lost, dataset):
            said(f"study {study.name}: its record is gone; it is made anew from MLflow")
            record = rebuild(study.record, study.name, lost, study.space, _facts(study, dataset))
        else:
            if lost is not None:
                said(_kept_apart(study, lost))
            record = create_record(
                study.record, study.name, objectives=study.space.objectives, facts=_facts(study, dataset)
            )
    record.lease = lease
    check_identity(study, record, dataset)
    if (changed := grown(study, record)) is not None:
        record.set(**changed)
    if "gkm:blurred" not in record.attributes:
        from gkm.trial import score_blurred

        scores = score_blurred(dataset, study.cache)
        names = [f"{score.scene}/{score.name}" for score in scores]
        record.set(photographs=names, blurred=[round(score.psnr, 6) for score in scores])
        record.set(blurred_ssim=[round(score.ssim, 6) for score in scores])
    return record


def _facts(study: Study, dataset: Dataset) -> dict[str, Any]:
    space = study.space
    return {
        "base": space.base.model_dump(mode="json"),
        "space": space.fingerprint(),
        "parameters": space.describe(),
        "data": dataset.fingerprint,
        "seed": study.seed,
        "kind": space.kind,
        "reference": getattr(space, "reference", None),
        "rungs": list(space.rule.rungs(space.base.training.epochs)),
        "folder": study.folder,
        "budget": space.limits.to_json(),
        "seeds": list(space.training_seeds),
        "confirm": _confirm(study),
        "planned": study.planned,
        "tags": {
            **environment_tags(),
            "gkm.space": space.fingerprint(),
            "gkm.search_seed": str(study.seed),
            **({"gkm.trials_per_gpu": str(shared)} if (shared := study.workers.trials_per_gpu) > 1 else {}),
        },
    }


def _confirm(study: Study) -> int:
    return study.space.confirm if study.confirm is None else study.confirm


def check_identity(study: Study, record: Record, dataset: Dataset) -> None:
    """Raises InputError where the record is of another study."""
    now = {"data": dataset.fingerprint, "space": study.space.fingerprint(), "seed": study.seed}
    for key, value in now.items():
        known = record.attributes.get(f"gkm:{key}", value)
        if known != value:
            word = {"data": "data set", "space": "search space", "seed": "search seed"}[key]
            raise InputError(
                f"study {study.name}: exists with another {word} ({known}, now {value}); choose another --study name"
            )


def grown(study: Study, record: Record) -> dict[str, Any] | None:
    """What of the record has to follow the study: larger limits, more seeds, another number to confirm."""
    wanted: dict[str, Any] = {
        "budget": study.space.limits.to_json(),
        "seeds": list(study.space.training_seeds),
        "confirm": _confirm(study),
    }
    changed = {key: value for key, value in wanted.items() if record.attributes.get(f"gkm:{key}") != value}
    if record.state == "finished" and "budget" in changed:
        before = Budget(**record.attributes["gkm:budget"])
        smaller = [k for k, v in before.to_json().items() if v is not None and (wanted["budget"][k] or 1e18) < v]
        if smaller and not set(changed) - {"budget"}:
            return None  # it has spent that already
    return changed or None


def _is_same(study: Study, lost: StudyResults, dataset: Dataset) -> bool:
    same_space = lost.tags.get("gkm.space") == study.space.fingerprint()
    seed = lost.tags.get("gkm.search_seed", lost.tags.get("gkm.seed", str(study.seed)))
    return same_space and lost.data_fingerprint == dataset.fingerprint and seed == str(study.seed)


def _kept_apart(study: Study, other: StudyResults) -> str:
    """What to say where MLflow has a study of that name of which the records know nothing."""
    return (
        f"study {study.name}: {study.tracking.address} has another study of that name ({other.summary()}; record: "
        f"{other.record or 'none'}); the new one is kept apart from it. If that record was lost and is to be made "
        "anew from MLflow, stop and use --rebuild"
    )


def open_mirror(study: Study, record: Record, dataset: Dataset, said: Callable[[str], None]) -> Mirror:
    """The mirror of a study in MLflow, which begins to work at once."""
    blurred, ssim = (record.attributes.get(f"gkm:{key}", []) for key in ("blurred", "blurred_ssim"))
    means = {"val/blurred_psnr": blurred, "val/blurred_ssim": ssim}
    facts = StudyFacts(
        name=study.name,
        record_id=record.id,
        record=record.address,
        kind=study.space.kind,
        tags={**dict(record.attributes.get("gkm:tags", {})), "gkm.data": dataset.fingerprint},
        parameters=dict(record.attributes.get("gkm:parameters", {})),
        base=json.dumps(study.space.base.model_dump(mode="json")),
        objectives=study.space.objectives,
        data=study.data,
        data_fingerprint=dataset.fingerprint,
        data_name=dataset.name,
        planned=dict(record.attributes.get("gkm:planned", {})),
        blurred={key: sum(values) / len(values) for key, values in means.items() if values},
        seeds=len(study.space.training_seeds),
        rungs=tuple(record.attributes.get("gkm:rungs", ())),
    )
    return MlflowMirror(study.tracking, facts, on_trouble=said)
