"""How good is what a search finds, at equal cost? Curves in; ours against peers, as a table and a picture, out.

    make bench-search                                    with Syne Tune in .venv-bench/syne-tune
    python benchmarks/search.py --surfaces noisy         one of the three alone
    python benchmarks/search.py --study NAME             on the curves of a study that was run, instead of made ones
    python benchmarks/search.py --seeds 5 --budget 8     quicker

Curves of a study of our own, half an hour on two cores, none stopped, so that all of them are known to the end:

    gkm sweep --space benchmarks/recorded_space.py --data runs/data/sample --study recorded

Nothing is trained: all contenders draw settings, wait for epochs and stop trials in simulated time, on two slots, over
the same tables (see surfaces.py), where a setting drawn stands for the nearest one not tried yet. Cost is epochs
trained. The best so far is the trial with the best value seen. What is compared is how much worse its setting is,
trained in full, than the best of the table: the regret.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from machine import describe
from surfaces import SPACES, made

from gkm.study.design.budget import Budget
from gkm.study.design.design import Design
from gkm.study.design.grid import Grid
from gkm.study.design.parameters import Choice, Condition, Float, Int
from gkm.study.design.search import GP, TPE, Random
from gkm.study.design.space import SearchSpace
from gkm.study.design.stopping import ASHA, NoStopping
from gkm.study.insight.curves import Curves
from gkm.study.insight.replay import guess_space, replay

ROOT = Path(__file__).parents[1]
SLOTS = 2
SYNE_TUNE = {"Syne Tune ASHA": "asha", "Syne Tune MOBSTER": "mobster"}
SLOW = {"gkm GP + ASHA", "Syne Tune MOBSTER"}
"""Ten seconds and more for each seed: these get fewer."""
COLOURS = {
    "gkm TPE + ASHA": "#0072b2",
    "gkm GP + ASHA": "#d55e00",
    "gkm Random + ASHA": "#009e73",
    "gkm TPE": "#56b4e9",
    "Random search": "#999999",
    "Grid": "#666666",
    "Optuna TPE + SHA": "#cc79a7",
    "Syne Tune ASHA": "#e69f00",
    "Syne Tune MOBSTER": "#000000",
}
Steps = list[tuple[int, float]]
"""Epochs spent -> true value of the best so far, where it changed."""


def ours(space: SearchSpace, curves: Curves, budget: int, seed: int, name: str) -> Steps:
    limits = Budget(trials=None, epochs=budget)
    design: Design
    if name == "Grid":
        design = grid(space, budget // curves.epochs, seed)
    else:
        samplers = {"TPE": TPE(), "GP": GP(), "Random": Random(), "search": Random()}
        stopping = ASHA() if "ASHA" in name else NoStopping()
        design = replace(space, sampler=samplers[name.split()[1]], stopping=stopping, budget=limits)
    played = replay(curves, design, slots=SLOTS, seed=seed)
    return [(step.epochs, step.value) for step in played.trajectory if step.epochs <= budget]


def grid(space: SearchSpace, trials: int, seed: int) -> Grid:
    """The largest grid of at most `trials` points, at the middles of equal parts; its order depends on the seed."""
    random = np.random.default_rng(seed)
    wanted = {path: _plain(parameter) for path, parameter in space.parameters.items()}
    levels = dict.fromkeys(wanted, 1)
    grew = True
    while grew:
        grew = False
        for path, parameter in wanted.items():
            more = {**levels, path: levels[path] + 1}
            if levels[path] < _most(parameter) and math.prod(more.values()) <= trials:
                levels, grew = more, True
    options = {path: _middles(parameter, levels[path]) for path, parameter in wanted.items()}
    shuffled = {path: Choice(*(values[i] for i in random.permutation(len(values)))) for path, values in options.items()}
    order = [list(shuffled)[i] for i in random.permutation(len(shuffled))]
    return Grid({path: shuffled[path] for path in order}, base=space.base)


def _plain(parameter: Any) -> Float | Int | Choice:
    return parameter.then if isinstance(parameter, Condition) else parameter


def _most(parameter: Any) -> int:
    return len(parameter.options) if isinstance(parameter, Choice) else 100


def _middles(parameter: Any, count: int) -> list[Any]:
    parts = [(place + 0.5) / count for place in range(count)]
    match parameter:
        case Choice(options=options):
            return list(options[:count])
        case Int(low=low, high=high, step=step):
            return list(dict.fromkeys(low + step * round(part * ((high - low) // step)) for part in parts))
        case _:
            if parameter.log:
                return [parameter.low * (parameter.high / parameter.low) ** part for part in parts]
            return [parameter.low + part * (parameter.high - parameter.low) for part in parts]


def optuna_alone(space: SearchSpace, curves: Curves, budget: int, seed: int, name: str) -> Steps:
    """Optuna's own sampler and pruner through its own interface, in the same simulated time."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )
    queue: list[tuple[float, int, int]] = []
    running: dict[int, tuple[Any, int, Iterator[tuple[float, float]]]] = {}
    now, order, spent, best, steps = 0.0, 0, 0, -math.inf, list[tuple[int, float]]()
    free = set(range(len(curves.settings)))
    while spent < budget and (free or running):
        while len(running) < SLOTS and free:
            trial = study.ask()
            setting = curves.nearest(space.suggest(trial), sorted(free))
            free.remove(setting)
            running[trial.number] = (trial, setting, _epochs(curves, setting))
            heapq.heappush(queue, (now, order := order + 1, trial.number))
        now, _, number = heapq.heappop(queue)
        trial, setting, epochs = running[number]
        epoch, value, seconds = next(epochs)
        if epoch > 0:
            spent += 1
            trial.report(value, epoch)
            if value > best:
                best = value
                steps.append((spent, curves.value(setting)))
            if epoch == curves.epochs or trial.should_prune():
                done = optuna.trial.TrialState.COMPLETE if epoch == curves.epochs else optuna.trial.TrialState.PRUNED
                study.tell(number, value if epoch == curves.epochs else None, state=done)
                del running[number]
                continue
        heapq.heappush(queue, (now + seconds, order := order + 1, number))
    return steps


def _epochs(curves: Curves, setting: int) -> Iterator[tuple[int, float, float]]:
    """Epoch (0: the start), value of the kept weights, seconds to the next report."""
    run = curves.run(setting, 0)
    since = np.diff(run.metrics["seconds"], prepend=0.0)
    yield 0, 0.0, float(since[0])
    for place, epoch in enumerate(run.epochs):
        wait = float(since[place + 1]) if place + 1 < len(since) else 0.0
        yield epoch, float(run.metrics[f"best/{curves.objective.metric}"][place]), wait


def syne_tune(
    python: Path, space: SearchSpace, curves: Curves, budget: int, seeds: list[int], name: str
) -> list[Steps]:
    """Syne Tune's simulator over the same table, in its own environment."""
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
        table = Path(folder) / "table.json"
        table.write_text(json.dumps(as_table(space, curves, budget)))
        command = [str(python), str(ROOT / "benchmarks" / "syne_tune_contenders.py"), "search", SYNE_TUNE[name]]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "SYNETUNE_FOLDER": folder}
        answer = subprocess.run(
            [*command, str(table), *map(str, seeds)], capture_output=True, text=True, check=False, env=environment
        )
    if answer.returncode:
        sys.exit(f"{name} failed:\n{answer.stderr[-3000:]}")
    rows = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith('{"seed"')]
    return [[(int(epochs), float(value)) for epochs, value in row["steps"]] for row in rows]


def as_table(space: SearchSpace, curves: Curves, budget: int) -> dict[str, Any]:
    """The table for another process: scaled columns, values of the kept weights, seconds since the start."""
    parameters, columns = {}, {}
    for path, parameter in space.parameters.items():
        condition = (parameter.on, list(parameter.equals)) if isinstance(parameter, Condition) else None
        plain = _plain(parameter)
        if isinstance(plain, Choice):
            parameters[path] = {"kind": "choice", "options": list(plain.options), "condition": condition}
            columns[path] = [plain.options.index(one[path]) if path in one else math.nan for one in curves.settings]
            continue
        seen = [float(one[path]) for one in curves.settings if path in one]
        is_log = min(seen) > 0 and max(seen) / min(seen) > 10
        kind = {"kind": "int", "step": plain.step} if isinstance(plain, Int) else {"kind": "float", "log": plain.log}
        bounds = {"low": plain.low, "high": plain.high, "seen": [min(seen), max(seen)], "column_log": is_log}
        parameters[path] = {**kind, **bounds, "condition": condition}
        low, high = (math.log(x) if is_log else x for x in (min(seen), max(seen)))
        plains = [
            (math.log(one[path]) if is_log else one[path]) if path in one else math.nan for one in curves.settings
        ]
        columns[path] = [(value - low) / ((high - low) or 1.0) for value in plains]
    runs = [curves.run(setting, 0) for setting in range(len(curves.settings))]
    return {
        "parameters": parameters,
        "columns": columns,
        "epochs": curves.epochs,
        "budget": budget,
        "values": [run.metrics[f"best/{curves.objective.metric}"].tolist() for run in runs],
        "seconds": [run.metrics["seconds"].tolist() for run in runs],
        "truth": [curves.value(setting) for setting in range(len(curves.settings))],
    }


def contest(
    name: str, space: SearchSpace, curves: Curves, budget: int, seeds: list[int], python: Path | None
) -> list[Steps]:
    if name in SYNE_TUNE:
        assert python is not None
        return syne_tune(python, space, curves, budget, seeds, name)
    play: Callable[..., Steps] = optuna_alone if name.startswith("Optuna") else ours
    return [play(space, curves, budget, seed, name) for seed in seeds]


def regrets(courses: list[Steps], curves: Curves, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Regret of each seed after each number of epochs; NaN before the first report."""
    best = curves.value(curves.best)
    found = np.full((len(courses), len(at)), math.nan)
    for row, steps in enumerate(courses):
        for epochs, value in steps:
            found[row, at >= epochs] = abs(best - value)
    return found


def table(rows: dict[str, np.ndarray[Any, Any]], at: np.ndarray[Any, Any], marks: list[int], epochs: int) -> str:
    titles = " | ".join(f"after {mark} trainings" for mark in marks)
    lines = [f"| search | {titles} |", "|---|" + "---|" * len(marks)]
    for name, values in rows.items():
        cells = []
        for mark in marks:
            low, middle, high = np.nanquantile(values[:, int(np.searchsorted(at, mark * epochs))], (0.25, 0.5, 0.75))
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: dict[str, dict[str, np.ndarray[Any, Any]]], at: dict[str, Any], epochs: int, path: Path) -> None:
    """Median regret over cost; a panel for each surface."""
    size = (max(6.0, 4.6 * len(results)), 4)
    figure, axes = plt.subplots(1, len(results), figsize=size, layout="constrained", squeeze=False)
    for axis, (surface, rows) in zip(axes[0], results.items(), strict=True):
        for name, values in rows.items():
            ours_or_not = "-" if name.startswith("gkm") else "--"
            with np.errstate(all="ignore"):
                middle = np.nanmedian(values, axis=0)
            axis.plot(at[surface] / epochs, middle, ours_or_not, color=COLOURS[name], label=name, linewidth=1.6)
        axis.set_title(surface)
        axis.set_xlabel("cost, in full trainings")
        axis.set_yscale("log")
        axis.set_xlim(0.5, None)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("median regret, dB")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(5, 1 + 2 * len(results)),
        fontsize=8,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def load_study(name: str, workspace: Path) -> tuple[Curves, SearchSpace]:
    from gkm.study.record.archive import read_results
    from gkm.study.record.record import RecordPlace

    found = Curves.from_study(read_results(RecordPlace(str(workspace.resolve() / "studies")), name))
    whole = [setting for setting in range(len(found.settings)) if found.is_whole(setting)]
    curves = Curves(
        [found.settings[setting] for setting in whole],
        [found.runs[setting] for setting in whole],
        epochs=found.epochs,
        objective=found.objective,
        base=found.base,
    )
    return curves, guess_space(curves)


def main() -> None:
    plt.switch_backend("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=5, help="for GP and MOBSTER, which take long")
    parser.add_argument("--budget", type=int, default=12, help="full trainings' worth of epochs")
    parser.add_argument("--surfaces", nargs="+", choices=SPACES, default=list(SPACES), help="made curves to use")
    parser.add_argument("--study", help="a recorded study whose curves to use")
    parser.add_argument("--workspace", type=Path, default=ROOT / "runs")
    parser.add_argument("--only", help="contenders whose names begin so")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "search.png")
    options = parser.parse_args()
    python: Path | None = ROOT / ".venv-bench" / "syne-tune" / "bin" / "python"
    if python is not None and not python.exists():
        python = None
    start = time.monotonic()
    study = options.study
    tables = {study: load_study(study, options.workspace)} if study else made(options.surfaces)
    names = [name for name in COLOURS if (python or name not in SYNE_TUNE) and name.startswith(options.only or "")]
    print(
        f"{describe()}; {options.seeds} seeds ({options.slow_seeds} of {' and '.join(sorted(SLOW))}), {SLOTS} slots, "
        f"{options.budget} trainings' worth of epochs"
    )
    results, ats, seconds = {}, {}, dict.fromkeys(names, 0.0)
    with ProcessPoolExecutor(2) as pool:
        for surface, (curves, space) in tables.items():
            budget = options.budget * curves.epochs
            at = ats[surface] = np.arange(1, budget + 1)
            rows = results[surface] = {}
            for name in names:
                began = time.monotonic()
                count = min(options.seeds, options.slow_seeds) if name in SLOW else options.seeds
                parts = [list(range(first, count, 2)) for first in range(min(2, count))]
                jobs = [pool.submit(contest, name, space, curves, budget, part, python) for part in parts]
                rows[name] = regrets([steps for job in jobs for steps in job.result()], curves, at)
                seconds[name] += time.monotonic() - began
            marks = sorted({max(1, options.budget // 4), max(1, options.budget // 2), options.budget})
            print(f"\n{surface}: {len(curves.settings)} settings, regret in dB, median (quartiles)\n")
            print(table(rows, at, marks, curves.epochs), flush=True)
    draw(results, ats, next(iter(tables.values()))[0].epochs, options.plot)
    print("\nseconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items()))
    print(f"{options.plot}; {time.monotonic() - start:.0f} s in all")
    if python is None:
        print("Syne Tune was left out: make bench-search installs it into .venv-bench/syne-tune")


if __name__ == "__main__":
    main()
