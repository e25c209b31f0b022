"""A study of many recorded trials in; what opening it, and asking for one more trial, takes out.

    python orchestration_record.py make PLACE TRIALS        a folder (journal) or sqlite:///FILE
    python orchestration_record.py measure PLACE

The trials are those of an ordinary search with ASHA: three parameters, most stopped after an epoch or three.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from orchestration_contenders import record

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.conductor import Assignment, Conductor
from gkm.study.design.budget import Budget
from gkm.study.design.space import Choice, Float, Int, SearchSpace
from gkm.study.record.record import Record, open_record
from gkm.study.record.record_place import RecordPlace

EPOCHS, ASKED = 9, 7
SPACE = SearchSpace(
    {
        "optim.learning_rate": Float(1e-5, 1e-2, log=True),
        "model.num_kernels": Int(3, 33, step=2),
        "loss.schedule": Choice("paper", "l2", "ssim"),
    },
    base=TrialConfig(training=TrainingConfig(epochs=EPOCHS)),
    budget=Budget(trials=1_000_000),
    confirm=0,
)
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "optim.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "model.num_kernels": IntDistribution(3, 33, step=2),
    "loss.schedule": CategoricalDistribution(("paper", "l2", "ssim")),
}
Drawn = tuple[dict[str, Any], list[dict[str, float]]]


def drawn(trials: int) -> Iterator[Drawn]:
    """Settings, and what their trials reported."""
    dice = random.Random(0)
    for _ in range(trials):
        values = {
            "optim.learning_rate": 10 ** dice.uniform(-5, -2),
            "model.num_kernels": dice.randrange(3, 34, 2),
            "loss.schedule": dice.choice(("paper", "l2", "ssim")),
        }
        epochs = [
            {
                "epoch": float(epoch),
                "train/loss": 0.1,
                "val/psnr": 20 + epoch + dice.random(),
                "best/val/psnr": 21 + epoch + dice.random(),
                "val/ssim": 0.8,
                "seconds": 20.0 * epoch,
                "time": 1.8e9,
            }
            for epoch in range(1, dice.choice((1, 1, 1, 1, 1, 1, 3, 3, EPOCHS)) + 1)
        ]
        yield values, epochs


def make(place: RecordPlace, trials: int) -> None:
    """Written as a driver writes it, line by line, but without waiting for the disk; a database gets whole trials."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    held = record(place, SPACE)
    for number, (values, epochs) in enumerate(drawn(trials)):
        (write_whole if place.is_database else write)(held, number, values, epochs)


def write(held: Record, number: int, values: dict[str, Any], epochs: list[dict[str, float]]) -> None:
    store = held.storage
    trial = store.create_new_trial(held.optuna._study_id)
    for path, value in values.items():
        store.set_trial_param(trial, path, DISTRIBUTIONS[path].to_internal_repr(value), DISTRIBUTIONS[path])
    for key, noted in (("seed", 0), ("group", number), ("values", values)):
        store.set_trial_user_attr(trial, key, noted)
    for metrics in epochs:
        store.set_trial_user_attr(trial, f"epoch:{int(metrics['epoch']):07d}", metrics)
        store.set_trial_intermediate_value(trial, int(metrics["epoch"]), metrics["best/val/psnr"])
    if state(epochs) == TrialState.PRUNED:
        store.set_trial_user_attr(trial, "reason", "behind 3 of 9 other trials at epoch 1")
    store.set_trial_state_values(trial, state(epochs), [epochs[-1]["best/val/psnr"]])


def write_whole(held: Record, number: int, values: dict[str, Any], epochs: list[dict[str, float]]) -> None:
    noted = {f"epoch:{int(metrics['epoch']):07d}": metrics for metrics in epochs}
    trial: FrozenTrial = create_trial(
        state=state(epochs),
        value=epochs[-1]["best/val/psnr"],
        params=values,
        distributions=DISTRIBUTIONS,
        user_attrs={"seed": 0, "group": number, "values": values, **noted},
        intermediate_values={int(metrics["epoch"]): metrics["best/val/psnr"] for metrics in epochs},
    )
    trial.datetime_start = datetime.now()
    held.storage.create_new_trial(held.optuna._study_id, trial)


def state(epochs: list[dict[str, float]]) -> TrialState:
    return TrialState.COMPLETE if len(epochs) == EPOCHS else TrialState.PRUNED


def measure(place: RecordPlace) -> dict[str, float]:
    before, start = memory_bytes(), time.perf_counter()
    held = open_record(place, "bench")
    assert held is not None
    opened = time.perf_counter() - start
    start = time.perf_counter()
    conductor = Conductor(held, SPACE, seed=0)
    taken = time.perf_counter() - start
    asked, reported = [], []
    for _ in range(ASKED):
        start = time.perf_counter()
        trial = conductor.next_trial()
        asked.append(time.perf_counter() - start)
        assert isinstance(trial, Assignment)
        start = time.perf_counter()
        conductor.report(
            trial.number, {"epoch": 1, "val/psnr": 1.0, "best/val/psnr": 1.0, "seconds": 1.0, "time": 1.8e9}
        )
        reported.append(time.perf_counter() - start)
        conductor.ended(trial.number)
    middle = ASKED // 2
    return {
        "trials": len(held.numbers),
        "open": opened,
        "conductor": taken,
        "suggest": sorted(asked)[middle],
        "report": sorted(reported)[middle],
        "own_bytes": memory_bytes() - before,
        "bytes": memory_bytes(),
    }


def memory_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    where = RecordPlace(sys.argv[2])
    if sys.argv[1] == "make":
        make(where, int(sys.argv[3]))
    else:
        print(json.dumps(measure(where)))
