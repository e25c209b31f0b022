"""A record that was lost, made anew from what MLflow has of its study: nothing that counts is forgotten."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend

from gkm.config import TrialConfig
from gkm.study.design.design import Design
from gkm.study.design.objective import PSNR, Constraint, Objective
from gkm.study.design.search import NSGA2, Random
from gkm.study.design.space import Choice, SearchSpace
from gkm.study.mirror.rebuild import rebuild
from gkm.study.record.record import Record, RecordPlace, open_record
from gkm.study.record.results import StudyResults


def size(config: TrialConfig) -> dict[str, float]:
    return {"parameters": 100.0 * config.model.num_kernels, "multiply_adds": 1.0}


def anew(lost: StudyResults, design: Design, folder: Path) -> Record:
    facts: dict[str, Any] = {
        "base": design.base.model_dump(mode="json"),
        "budget": design.limits.to_json(),
        "folder": "/studies",
        "kind": design.kind,
    }
    return rebuild(RecordPlace(str(folder)), lost.name, lost, design, facts)


@pytest.mark.parametrize(
    "objectives", [(PSNR,), (PSNR, Objective("parameters", "min", ""))], ids=["one objective", "several"]
)
def test_networks_that_were_too_large_stay_refused_and_all_sizes_are_known(
    base: TrialConfig, driver: Any, tmp_path: Path, objectives: tuple[Objective, ...]
) -> None:
    design = SearchSpace(
        {"model.num_kernels": Choice(5, 9, 13)},
        base=base,
        trials=4,
        confirm=0,
        objectives=objectives,
        constraints=(Constraint("parameters", at_most=1000),),
        sampler=NSGA2() if len(objectives) > 1 else Random(),
    )
    lost = driver.run(design, complexity=size)
    assert {trial.status for trial in lost.trials} >= {"refused"}
    record = anew(lost, design, tmp_path / "anew")
    driver.place = record.place
    found = driver.run(design, complexity=size)  # of several objectives, trials at their end say so once more
    assert [trial.status for trial in found.trials] == [trial.status for trial in lost.trials]
    assert [dict(trial.complexity) for trial in found.trials] == [dict(trial.complexity) for trial in lost.trials]
    assert found.spent.trials == lost.spent.trials
    assert [trial.number for trial in found.front] == [trial.number for trial in lost.front]


def test_a_driver_that_dies_while_it_makes_a_record_anew_loses_no_trial(
    base: TrialConfig, driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died: type[Exception]
) -> None:
    design = SearchSpace({"model.num_kernels": Choice(5, 9, 13)}, base=base, trials=4, confirm=0, sampler=Random())
    lost = driver.run(design)
    append, write = JournalFileBackend.append_logs, 0
    for dies_at in count(1):

        def append_logs(self: JournalFileBackend, logs: list[dict[str, Any]], dies_at: int = dies_at) -> None:
            nonlocal write
            write += 1
            if write == dies_at:
                raise died
            append(self, logs)

        monkeypatch.setattr(JournalFileBackend, "append_logs", append_logs)
        folder, write = tmp_path / str(dies_at), 0
        with suppress(died):
            anew(lost, design, folder)
        if write < dies_at:
            break
        found = open_record(RecordPlace(str(folder)), lost.name) or anew(lost, design, folder)
        assert [trial.history for trial in found.results().trials] == [trial.history for trial in lost.trials]
    assert dies_at > 10
