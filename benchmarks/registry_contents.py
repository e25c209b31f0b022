"""Numbers of trials and versions in; a workspace with a study of so many trials, and a registry of so many versions.

One trial is shown in MLflow as a driver shows it. The rows of all others are written into MLflow's tables as MLflow
wrote those of the first, with what the project's own projection says of them; that they read back as they should is
checked.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.data.dataset.pair import Pair
from gkm.data.preparation.preparation import write_dataset
from gkm.networks import build
from gkm.registry import ledger, register_best
from gkm.registry.card import model_card, promotion_sentence, with_promotion
from gkm.study.design.space import Choice, Float, SearchSpace
from gkm.study.mirror.mirror import StudyFacts
from gkm.study.mirror.mirrored import MirroredStudy
from gkm.study.mirror.projection import EPOCHS_TAG, Look, points, trial_look
from gkm.study.record.record import Record, RecordPlace, create_record, load_study
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import Point, Tracking, clean, environment_tags, open_tracking
from gkm.training.checkpoint import save_weights

STUDY, EPOCHS, PHOTOGRAPHS = "bench", 27, 8
GATES = [[f"gate {number} on sample", True, "33.127 dB, version 1 32.500 dB: +0.627; asked for: -0.1 or more"]
         for number in range(13)]  # fmt: skip
SPACE = SearchSpace(
    {"optim.learning_rate": Float(1e-5, 1e-2, log=True), "loss.schedule": Choice("paper", "l2", "ssim")},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
        data=DataConfig(crop_pixels=32),
        training=TrainingConfig(epochs=EPOCHS),
    ),
    confirm=0,
)
DISTRIBUTIONS = {
    "optim.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "loss.schedule": CategoricalDistribution(("paper", "l2", "ssim")),
}


def make(workspace: Path, trials: int, versions: int) -> None:
    """All of it, in the new folder `workspace`."""
    fingerprint = _make_data(workspace / "data" / "sample")
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    tracking.prepare()
    place = RecordPlace(str(workspace / "studies"))
    record = create_record(place, STUDY, objectives=SPACE.objectives, facts=_record_facts(place, fingerprint, trials))
    facts = _facts(record, workspace, fingerprint)
    rows = [_row(number) for number in range(trials)]
    mirrored = MirroredStudy(tracking, facts)
    mirrored.show_study(None)
    mirrored.show(rows[0])
    run_ids = [mirrored.trials[0].id, *(uuid.uuid4().hex for _ in rows[1:])]
    looks = [
        (run_id, trial_look(facts, row, mirrored.parent.id), row) for run_id, row in zip(run_ids, rows, strict=True)
    ]
    _add_runs(workspace / "mlflow.db", looks)
    _write_record(record, rows, run_ids, mirrored.parent.id)
    results = load_study(place, STUDY)
    MirroredStudy(tracking, facts).show_study(results)
    _check(tracking, results)
    assert results.best is not None
    assert results.best.run_id is not None
    with tempfile.TemporaryDirectory() as folder:
        for path in save_weights(build(results.best.config.model), Path(folder)).iterdir():
            tracking.log_file(results.best.run_id, path, "weights")
    register_best(tracking, results)
    _add_versions(tracking, run_ids, versions)


def _check(tracking: Tracking, results: StudyResults) -> None:
    """The project's own reader finds all trials, and the first, the last and one between them as they were."""
    runs = tracking.find({"gkm.kind": "trial", "gkm.record": results.record_id})
    assert sorted(run.info.run_id for run in runs) == sorted(trial.run_id or "" for trial in results.trials)
    for number in (0, len(results.trials) // 2, len(results.trials) - 1):
        trial = results.trials[number]
        back = tracking.trial(trial.run_id or "")
        plain = [{key: value for key, value in epoch.items() if key != "time"} for epoch in trial.history]
        assert (back.number, back.config, back.history) == (number, trial.config, plain)
        inputs = tracking.client.get_run(trial.run_id or "").inputs
        assert len(inputs.dataset_inputs) == 2


def _make_data(out: Path) -> str:
    """A small data set; returns its fingerprint."""
    dice, pairs = np.random.default_rng(7), []
    for split, count in (("train", 4), ("validation", PHOTOGRAPHS), ("test", 2)):
        for index in range(count):
            sharp = np.kron(dice.integers(0, 256, (18, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
            blurred = ((sharp.astype(np.uint16) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 0)) // 3).astype(np.uint8)
            pairs.append((split, Pair(f"{split}-{index}", "0", blurred, sharp)))
    return write_dataset(pairs, out, {"kind": "synthetic"}).fingerprint  # type: ignore[arg-type]


def _record_facts(place: RecordPlace, fingerprint: str, trials: int) -> dict[str, Any]:
    return {
        "base": SPACE.base.model_dump(mode="json"),
        "space": SPACE.fingerprint(),
        "parameters": SPACE.describe(),
        "data": fingerprint,
        "kind": SPACE.kind,
        "rungs": [3, 9, 27],
        "folder": place.url,
        "budget": {**SPACE.limits.to_json(), "trials": trials},
        "tags": {**environment_tags(), "gkm.space": SPACE.fingerprint(), "gkm.search_seed": "0"},
        "photographs": [f"validation-{index}/0" for index in range(PHOTOGRAPHS)],
        "blurred": [21.0 + index / 10 for index in range(PHOTOGRAPHS)],
    }


def _facts(record: Record, workspace: Path, fingerprint: str) -> StudyFacts:
    known = record.attributes
    return StudyFacts(
        name=STUDY,
        record_id=record.id,
        record=record.address,
        tags=known["gkm:tags"],
        parameters=known["gkm:parameters"],
        base="{}",
        data=str(workspace / "data" / "sample"),
        data_fingerprint=fingerprint,
        data_name="synthetic",
        blurred={"val/blurred_psnr": 21.35},
        rungs=(3, 9, 27),
    )


def _row(number: int) -> TrialRow:
    """A trial that ran to its end."""
    dice = random.Random(number)
    values = {"optim.learning_rate": 10 ** dice.uniform(-5, -2), "loss.schedule": dice.choice(("paper", "l2", "ssim"))}
    began, psnr, history = 1.76e9 + 600 * number, 21.0 + dice.random(), []
    for epoch in range(1, EPOCHS + 1):
        psnr += 0.1 * dice.random()
        history.append(
            {
                "epoch": float(epoch),
                "train/loss": 0.1 / epoch,
                "learning_rate": values["optim.learning_rate"],
                "val/psnr": psnr,
                "val/ssim": 0.7 + epoch / 100,
                "val/loss": 10 ** (-psnr / 10),
                "best/val/psnr": psnr,
                "best/epoch": float(epoch),
                "seconds": 20.0 * epoch,
                "seconds_per_megapixel": 1.5,
                "crops_per_second": 50.0 + dice.random(),
                "time": round(began + 20 * epoch, 3),
            }
        )
    photographs = tuple(psnr + dice.uniform(-1, 1) for _ in range(PHOTOGRAPHS))
    return TrialRow(
        number,
        "finished",
        SPACE.base.with_values(values),
        values,
        tuple(history),
        group=number,
        photographs=photographs,
    )


def _add_runs(database: Path, looks: Sequence[tuple[str, Look, TrialRow]]) -> None:
    """Write all runs but the first, which is there, as that one is."""
    (template, first, _), *others = looks
    with closing(sqlite3.connect(database)) as store, store:
        store.row_factory = sqlite3.Row
        (run,) = _rows(store, "runs", "run_uuid", template)
        own = [tag for tag in _rows(store, "tags", "run_uuid", template) if tag["key"] not in clean(first.tags)]
        inputs = _rows(store, "inputs", "destination_id", template)
        input_tags = {
            entry["input_uuid"]: _rows(store, "input_tags", "input_uuid", entry["input_uuid"]) for entry in inputs
        }
        for run_id, look, row in others:
            _add_run(store, run, run_id, look)
            tags = {entry["key"]: entry["value"] for entry in own if entry["key"] != EPOCHS_TAG}
            tags |= {"mlflow.runName": look.name, **clean({**look.tags, EPOCHS_TAG: str(row.epochs)})}
            _insert(store, "tags", [{"key": key, "value": value, "run_uuid": run_id} for key, value in tags.items()])
            parameters = [{"key": key, "value": text, "run_uuid": run_id} for key, text in look.parameters.items()]
            _insert(store, "params", parameters)
            _add_points(store, run_id, points(row, 0))
            for entry in inputs:
                new = uuid.uuid4().hex
                _insert(store, "inputs", [{**entry, "input_uuid": new, "destination_id": run_id}])
                _insert(store, "input_tags", [{**tag, "input_uuid": new} for tag in input_tags[entry["input_uuid"]]])


def _add_run(store: sqlite3.Connection, template: Mapping[str, Any], run_id: str, look: Look) -> None:
    assert look.started is not None
    assert look.ended is not None
    changed = {
        "run_uuid": run_id,
        "name": look.name,
        "start_time": round(look.started * 1000),
        "end_time": round(look.ended * 1000),
        "artifact_uri": template["artifact_uri"].replace(template["run_uuid"], run_id),
    }
    _insert(store, "runs", [{**template, **changed}])


def _add_points(store: sqlite3.Connection, run_id: str, every: Iterable[Point]) -> None:
    rows = [
        {
            "key": p.metric,
            "value": p.value,
            "timestamp": p.timestamp_ms,
            "step": p.step,
            "is_nan": 0,
            "run_uuid": run_id,
        }
        for p in every
    ]
    _insert(store, "metrics", rows)
    _insert(store, "latest_metrics", list({row["key"]: row for row in rows}.values()))


def _rows(store: sqlite3.Connection, table: str, column: str, value: str) -> list[dict[str, Any]]:
    return [dict(row) for row in store.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))]


def _insert(store: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        marks = ", ".join("?" * len(names))
        command = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
        store.executemany(command, [tuple(row[name] for name in names) for row in rows])


def _write_record(record: Record, rows: Sequence[TrialRow], run_ids: Sequence[str], parent: str) -> None:
    """As a driver writes it, line by line, but without waiting for the disk."""
    waiting, os.fsync = os.fsync, lambda descriptor: None
    try:
        store, study = record.storage, record.optuna._study_id
        for row, run_id in zip(rows, run_ids, strict=True):
            trial = store.create_new_trial(study)
            for path, value in row.parameters.items():
                kind = DISTRIBUTIONS[path]
                store.set_trial_param(trial, path, kind.to_internal_repr(value), kind)
            noted = {"seed": 0, "group": row.number, "values": row.parameters, "run_id": run_id}
            for key, note in {**noted, "photographs": row.photographs}.items():
                store.set_trial_user_attr(trial, key, note)
            for metrics in row.history:
                store.set_trial_user_attr(trial, f"epoch:{int(metrics['epoch']):07d}", metrics)
                store.set_trial_intermediate_value(trial, int(metrics["epoch"]), metrics["best/val/psnr"])
            store.set_trial_state_values(trial, TrialState.COMPLETE, [row.score])
        record.set(run_id=parent, mirrored="all", state="finished", hours=12.5)
    finally:
        os.fsync = waiting


def _add_versions(tracking: Tracking, run_ids: Sequence[str], versions: int) -> None:
    """Versions with cards, and LoggedModels with scores, but no files; and their history."""
    client, experiment = tracking.client, tracking.experiment_id
    run_id = ledger.ensure(tracking)
    for number in range(2, versions + 1):
        of_run = run_ids[number % len(run_ids)]
        event = {
            "event": "promoted" if number % 10 == 0 else "refused",
            "time": f"2026-01-31T12:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
            "version": number,
            "reason": f"version {number} has 33.127 dB on 6 test photographs, version 1 (champion) 32.500 dB",
            "who": "ann@lab",
            "evidence": of_run,
            "gates": GATES,
        }
        card = model_card(
            name=f"gkmnet, weights {number:012x}",
            summary=f"Best of {len(run_ids)} trials of the study {STUDY}: 24.00 dB in validation.",
            network="gkmnet (width 2)",
            parameters=1234,
            scores=[],
            photographs=0,
            data="synthetic",
        )
        told = with_promotion(card, promotion_sentence(event) or "", [tuple(gate) for gate in GATES])  # type: ignore[misc]
        model = client.create_logged_model(experiment, "gkmnet", of_run, {"study": STUDY}, {"model.width": "2"})
        client.finalize_logged_model(model.model_id, "READY")
        tags = {"gkm.study": STUDY, "gkm.val/psnr": "24.0000", "gkm.data": "0123456789ab", "gkm.git_commit": "c0ffee"}
        client.create_model_version("gkmnet", model.artifact_location, of_run, tags=tags, description=told)
        seen = ledger.read(tracking, run_id)
        claim = {
            "event": "registered",
            "time": event["time"],
            "version": number,
            "reason": "not better",
            "who": "ann@lab",
        }
        assert ledger.append(tracking, seen, claim)
        assert ledger.append(tracking, ledger.read(tracking, run_id), event)
    entries = ledger.read(tracking, run_id).entries
    client.set_registered_model_tag("gkmnet", "gkm.settled", str(len(entries)))
    client.set_registered_model_alias("gkmnet", "champion", str(versions - versions % 10 or 1))


if __name__ == "__main__":
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as made:
        make(Path(made), 1000, 200)
        print(f"made in {time.monotonic() - began:.0f} s")
