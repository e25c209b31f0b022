"""Syne Tune's side of search.py and orchestration.py; runs in an environment of its own, without gkm.

python syne_tune_contenders.py local TRIALS SECONDS                     two workers of its LocalBackend
python syne_tune_contenders.py search METHOD TABLE.json SEED [SEED ...]  its simulator over a table of curves
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
from syne_tune.config_space import choice, finrange, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHA, MOBSTER
from syne_tune.tuner_callback import TunerCallback

REPORTS, SLOTS, WARM = 3, 2, 10
TRIAL = """
import argparse, time
from syne_tune import Reporter
parser = argparse.ArgumentParser()
for name in ("learning_rate", "num_kernels", "schedule", "seconds", "epochs"):
    parser.add_argument("--" + name)
options, _ = parser.parse_known_args()
report = Reporter()
for epoch in range(1, int(options.epochs) + 1):
    time.sleep(float(options.seconds) / int(options.epochs))
    report(epoch=epoch, loss=1.0)
"""


class Ends(TunerCallback):
    """When each trial ended."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_trial_complete(self, trial: Any, result: dict[str, Any]) -> None:
        self.times.append((time.perf_counter(), time.process_time()))

    def on_trial_result(self, trial: Any, status: Any, result: dict[str, Any], decision: Any) -> None:
        if decision == "STOP":  # at its last epoch, if it has not ended by then
            self.times.append((time.perf_counter(), time.process_time()))


def local(trials: int, seconds: float) -> dict[str, float]:
    """As its documentation has it, but asking for results as often as Tune does."""
    folder = Path(tempfile.mkdtemp(prefix="gkm-bench-"))
    (folder / "trial.py").write_text(TRIAL)
    space = {
        "learning_rate": loguniform(1e-5, 1e-2),
        "num_kernels": randint(3, 33),
        "schedule": choice(["paper", "l2", "ssim"]),
        "seconds": seconds,
        "epochs": REPORTS,
    }
    ends = Ends()
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(folder / "trial.py"), rotate_gpus=False),
        scheduler=ASHA(
            space, metric="loss", mode="min", resource_attr="epoch", max_t=REPORTS, grace_period=1, reduction_factor=3
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        n_workers=SLOTS,
        sleep_time=0.1,
        callbacks=[ends],
        save_tuner=False,
        tuner_name="gkm-bench",
        trial_backend_path=str(folder / "work"),
    )
    start = time.perf_counter()
    tuner.run()
    end, end_cpu = time.perf_counter(), time.process_time()
    shutil.rmtree(folder, ignore_errors=True)
    warm, warm_cpu = ends.times[WARM - 1]
    count = len(ends.times) - WARM
    return {"seconds": end - start, "each": (end - warm) / count, "driver": (end_cpu - warm_cpu) / count}


class Table(Blackbox):
    """Curves, of which a setting drawn gets the nearest that was not tried yet, by the same scales as in ours."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.parameters: dict[str, dict[str, Any]] = table["parameters"]
        self.epochs = int(table["epochs"])
        super().__init__(
            {name: domain(one) for name, one in self.parameters.items()},
            {"epoch": randint(1, self.epochs)},
            ["metric_loss", "metric_elapsed_time"],
        )
        self.columns = {name: np.array(column) for name, column in table["columns"].items()}
        self.losses, self.seconds = -np.array(table["values"]), np.array(table["seconds"])
        self.truth = np.array(table["truth"])
        self.taken: dict[str, int] = {}

    @property
    def fidelity_values(self) -> Any:
        return np.arange(1, self.epochs + 1)

    def nearest(self, configuration: dict[str, Any]) -> int:
        key = repr([configuration[name] for name in self.parameters])
        if key not in self.taken:
            distances = self.distances(configuration)
            distances[list(self.taken.values())] = np.inf
            self.taken[key] = int(distances.argmin())
        return self.taken[key]

    def distances(self, configuration: dict[str, Any]) -> Any:
        distances = np.zeros(len(self.truth))
        for name, one in self.parameters.items():
            column = self.columns[name]
            condition = one.get("condition")
            if condition and configuration[condition[0]] not in condition[1]:
                distances += ~np.isnan(column)  # it has no meaning here
            elif one["kind"] == "choice":
                distances += column != one["options"].index(configuration[name])
            else:
                distances += np.nan_to_num((column - scaled(one, configuration[name])) ** 2, nan=1.0)
        return distances

    def _objective_function(self, configuration: dict[str, Any], fidelity: Any = None, seed: Any = None) -> Any:
        place = self.nearest(configuration)
        curve = np.stack([self.losses[place], self.seconds[place]], axis=1)
        if fidelity is None:
            return curve
        return dict(zip(self.objectives_names, curve[int(fidelity["epoch"]) - 1], strict=True))


def domain(one: dict[str, Any]) -> Any:
    if one["kind"] == "choice":
        return choice(one["options"])
    if one["kind"] == "int":
        return finrange(one["low"], one["high"], (one["high"] - one["low"]) // one["step"] + 1, cast_int=True)
    return loguniform(one["low"], one["high"]) if one["log"] else uniform(one["low"], one["high"])


def scaled(one: dict[str, Any], value: float) -> float:
    low, high = one["seen"]
    if one["column_log"]:
        low, high, value = (float(np.log(x)) for x in (low, high, value))
    return (value - low) / ((high - low) or 1.0)


class Course(SimulatorCallback):
    """Follows the best so far, epoch by epoch."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table, self.best, self.spent, self.steps = table, float("inf"), 0, []

    def on_trial_result(self, trial: Any, status: Any, result: dict[str, Any], decision: Any) -> None:
        super().on_trial_result(trial, status, result, decision)
        self.spent += 1
        if result["metric_loss"] < self.best:
            self.best = result["metric_loss"]
            self.steps.append((self.spent, float(self.table.truth[self.table.nearest(trial.config)])))


def search(method: str, table: Table, budget: int, seed: int) -> list[tuple[int, float]]:
    """Epochs spent -> true value of the best so far, as it changed."""
    kinds = {"asha": ASHA, "mobster": MOBSTER}
    scheduler = kinds[method](
        table.configuration_space,
        metric="metric_loss",
        mode="min",
        resource_attr="epoch",
        max_t=table.epochs,
        grace_period=1,
        reduction_factor=3,
        random_seed=seed,
        # Left out, it begins with the middle of the space, nearly the optimum of one of our surfaces. The others begin
        # without a first guess, too.
        points_to_evaluate=[],
        search_options={"debug_log": False},
    )
    course = Course(table)
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
        tuner = Tuner(
            trial_backend=UserBlackboxBackend(blackbox=table, elapsed_time_attr="metric_elapsed_time", seed=0),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_num_evaluations=budget),
            n_workers=SLOTS,
            sleep_time=0,
            results_update_interval=1e9,
            print_update_interval=1e9,
            callbacks=[course],
            save_tuner=False,
            tuner_name="gkm-bench",
            trial_backend_path=folder,
        )
        tuner.run()
        shutil.rmtree(tuner.tuner_path, ignore_errors=True)
    return [step for step in course.steps if step[0] <= budget]


def main() -> None:
    logging.disable(logging.WARNING)
    if sys.argv[1] == "local":
        print(json.dumps(local(int(sys.argv[2]), float(sys.argv[3]))))
        return
    content = json.loads(Path(sys.argv[3]).read_text())
    for seed in sys.argv[4:]:
        start = time.perf_counter()
        steps = search(sys.argv[2], Table(content), int(content["budget"]), int(seed))
        print(json.dumps({"seed": int(seed), "steps": steps, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
