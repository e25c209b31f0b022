"""A contender's name and a load in, the seconds it took as JSON out; orchestration.py runs each in its own process.

    python orchestration_contenders.py NAME TRIALS SECONDS

Every trial reports three times in SECONDS; all values are equal, so that nobody is stopped. Printed are the seconds
from the start of the study to its end, and, for each trial beyond the first ten, by when the workers have started, the
seconds and the driver's own seconds of processor time, which other work on the machine changes little.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.conductor import Conductor, Events
from gkm.study.design.design import Design
from gkm.study.design.space import Choice, Float, Int, SearchSpace
from gkm.study.record.record import Record, create_record
from gkm.study.record.record_place import RecordPlace
from gkm.study.record.results import TrialRow

REPORTS = 3
WARM = 10
SLOTS = 2
PSNR = 30.0
Show = Callable[[TrialRow], None]
Moment = tuple[float, float]
"""Seconds on the clock, and of processor time."""


def now() -> Moment:
    return time.perf_counter(), time.process_time()


def figures(times: list[Moment]) -> dict[str, float]:
    """From when the study started, all its trials ended, and it was over."""
    (start, _), (warm, warm_cpu), (end, end_cpu) = times[0], times[WARM], times[-1]
    trials = len(times) - 2 - WARM
    return {"seconds": end - start, "each": (end - warm) / trials, "driver": (end_cpu - warm_cpu) / trials}


def space(trials: int) -> SearchSpace:
    """Three parameters, TPE and ASHA, nothing to confirm."""
    parameters = {
        "optim.learning_rate": Float(1e-5, 1e-2, log=True),
        "model.num_kernels": Int(3, 33, step=2),
        "loss.schedule": Choice("paper", "l2", "ssim"),
    }
    base = TrialConfig(training=TrainingConfig(epochs=REPORTS))
    return SearchSpace(parameters, base=base, trials=trials, confirm=0)


def record(place: RecordPlace, design: Design) -> Record:
    facts = {
        "base": design.base.model_dump(mode="json"),
        "budget": design.limits.to_json(),
        "folder": place.url if not place.is_database else "/",
    }
    return create_record(place, "bench", objectives=design.objectives, facts=facts)


def sleep_as_trial(config: dict[str, Any], job: Any) -> None:
    """What a trial does in ours."""
    from ray import tune

    for epoch in range(1, REPORTS + 1):
        time.sleep(SECONDS / REPORTS)
        tune.report({"epoch": epoch, "val/psnr": PSNR, "best/val/psnr": PSNR, "seconds": 1.0, "time": time.time()})


def ours(trials: int, folder: Path, database: bool = False, mlflow: bool = False) -> list[Moment]:
    from gkm.study.execution.executor import execute
    from gkm.study.execution.trial_process import Job
    from gkm.training.selection import Selection

    design = space(trials)
    place = RecordPlace(f"sqlite:///{folder / 'records.db'}" if database else str(folder))
    held = record(place, design)
    job = Job(data="", folder=str(folder), record_id=held.id, selection=Selection())
    times = [now()]
    ended: set[int] = set()
    with held.held(), shown(held, design, folder) if mlflow else unshown() as show:

        def trial(row: TrialRow) -> None:
            show(row)
            if row.status == "finished" and row.number not in ended:
                ended.add(row.number)
                times.append(now())

        execute(Conductor(held, design, events=Events(trial=trial)), job, concurrent=SLOTS, train=sleep_as_trial)
        assert held.results().summary() == f"{trials} finished", held.results().summary()
    return [*times, now()]


@contextmanager
def unshown() -> Iterator[Show]:
    yield lambda row: None


@contextmanager
def shown(held: Record, design: Design, folder: Path) -> Iterator[Show]:
    """Brings MLflow, a local database, in line with the record while the study runs."""
    from gkm.study.mirror.facts import StudyFacts
    from gkm.study.mirror.mirror import MlflowMirror
    from gkm.tracking import Tracking

    tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}", "bench")
    tracking.prepare()
    facts = StudyFacts("bench", held.id, objectives=design.objectives)
    mirror = MlflowMirror(tracking, facts)
    try:
        yield mirror.update
    finally:
        mirror.finish(held.results(), 120.0)
        mirror.close()


def bare_tune(trials: int, folder: Path) -> list[Moment]:
    """Ray Tune with its own Optuna search and ASHA, as its documentation has it."""
    import optuna
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    ends: list[Moment] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ends.append(now())

    def trainable(config: dict[str, Any]) -> None:
        import gkm.study.execution.executor  # noqa: F401 - the same libraries as in a trial of ours

        for epoch in range(1, REPORTS + 1):
            time.sleep(SECONDS / REPORTS)
            tune.report({"epoch": epoch, "psnr": PSNR})

    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": 1}),
        param_space={
            "learning_rate": tune.loguniform(1e-5, 1e-2),
            "num_kernels": tune.randint(3, 34),
            "schedule": tune.choice(["paper", "l2", "ssim"]),
        },
        tune_config=tune.TuneConfig(
            metric="psnr",
            mode="max",
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(time_attr="epoch", max_t=REPORTS, grace_period=1, reduction_factor=3),
            num_samples=trials,
            max_concurrent_trials=SLOTS,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="bench", storage_path=str(folder), verbose=0, callbacks=[Ends()]),
    )
    start = now()
    results = tuner.fit()
    assert len(results) == trials
    assert not results.errors
    return [start, *ends, now()]


SECONDS = 0.0


def main() -> None:
    global SECONDS
    import ray

    name, trials, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ray.init("local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
        match name:
            case "tune":
                times = bare_tune(trials, Path(folder))
            case _:
                times = ours(trials, Path(folder), "database" in name, "mlflow" in name)
    print(json.dumps(figures(times)))


if __name__ == "__main__":
    main()
