"""Records of studies, made without training."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.design.budget import Budget
from gkm.study.design.objective import PSNR
from gkm.study.record.record import Record, RecordPlace, create_record

PHOTOGRAPHS = ("a/1", "b/1", "c/1")


def make_study(
    place: RecordPlace,
    name: str,
    arms: Mapping[str, Sequence[Sequence[float]]],
    *,
    photographs: Sequence[str] = PHOTOGRAPHS,
    data: str = "d1",
    state: str = "finished",
) -> Record:
    """An ablation: arm -> [seeds, photographs] scores, the first arm being the reference; two epochs a trial."""
    base = TrialConfig(training=TrainingConfig(epochs=2))
    facts: dict[str, Any] = {
        "base": base.model_dump(mode="json"),
        "budget": Budget(len(arms)).to_json(),
        "folder": "/studies",
        "data": data,
        "kind": "arms",
        "reference": next(iter(arms)),
        "photographs": list(photographs),
        "blurred": [25.0] * len(photographs),
    }
    record = create_record(place, name, objectives=(PSNR,), facts=facts)
    for width, (arm, seeds) in enumerate(arms.items(), start=3):
        group = max(record.numbers, default=-1) + 1
        for seed, scores in enumerate(seeds):
            number = record.enqueue({"arm": arm}, arm=arm, seed=seed, group=group)
            record.ask().suggest_categorical("arm", list(arms))
            record.asked(number, {"model.width": width}, seed)
            mean = sum(scores) / len(scores)
            for epoch in (1, 2):
                value = mean - 2 + epoch
                told = {"epoch": epoch, "val/psnr": value, "best/val/psnr": value, "seconds": 3.0 * epoch, "time": 5.0}
                record.add_epoch(number, told)
            record.end(number, TrialState.COMPLETE, photographs=list(scores))
    record.set(state=state)
    return record
