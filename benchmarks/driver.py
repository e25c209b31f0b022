"""Does one driver keep many slots filled, and what does each trial cost it? A study without training in, tables out.

    python benchmarks/driver.py                          1,000 queued trials of 30 s on 64 slots; a quarter of an hour
    python benchmarks/driver.py --slots 16 --trials 250  the same on a smaller machine
    python benchmarks/driver.py --parts decisions        10,000 trials decided without Ray, in simulated time

slots: a real driver, its record a journal, its mirror MLflow in sqlite, on a Ray that offers as many CPUs as there are
slots. Trials sleep and report as real ones do; they keep no weights. Fill is the time that trials ran, by their own
clocks, over that of all slots: from when every slot has run one (Ray starts its process once) until the last begins.

decisions: conductor and record alone, while 64 trials at a time report in simulated time: what grows with the number of
trials on record shows here.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from machine import describe
from orchestration import ENVIRONMENT
from orchestration_contenders import Moment, now, record, shown

from gkm.config import TrainingConfig, TrialConfig
from gkm.study.decisions.conductor import Assignment, Conductor, Events
from gkm.study.design.grid import Grid
from gkm.study.design.parameters import Choice
from gkm.study.design.space import Float, Int, SearchSpace
from gkm.study.record.record_place import RecordPlace
from gkm.study.record.results import TrialRow

REPORTS = 10
"""Of each trial."""
PSNR = 30.0
STEPS = 5
"""Rows of a table."""


def queued(trials: int) -> Grid:
    """So many trials, all of them on record before the first begins."""
    base = TrialConfig(training=TrainingConfig(epochs=REPORTS))
    seeds = next(count for count in (20, 10, 8, 4, 2, 1) if trials % count == 0 and count < trials)
    rates = Choice(*(1e-5 * (1 + index) for index in range(trials // seeds)))
    return Grid({"optim.learning_rate": rates}, base=base, seeds=tuple(range(seeds)))


def searched(trials: int) -> SearchSpace:
    """So many trials, drawn by TPE and judged by ASHA."""
    parameters: dict[str, Float | Int | Choice] = {
        "optim.learning_rate": Float(1e-5, 1e-2, log=True),
        "model.num_kernels": Int(3, 33, step=2),
        "loss.schedule": Choice("paper", "l2", "ssim"),
    }
    base = TrialConfig(training=TrainingConfig(epochs=REPORTS))
    return SearchSpace(parameters, base=base, trials=trials, confirm=0)


def metrics(epoch: int) -> dict[str, float]:
    """What a trial reports."""
    values = {"train/loss": 0.1, "val/psnr": PSNR, "val/ssim": 0.9, "best/val/psnr": PSNR, "best/epoch": 1.0}
    return {"epoch": epoch, **values, "learning_rate": 1e-4, "seconds": 1.0, "system/crops_per_second": 100.0}


def sleep_as_trial(config: dict[str, Any], job: Any) -> None:
    """Takes the place of a trial's work; `seconds` is in the environment of Ray's processes."""
    from ray import tune

    pause = float(os.environ["GKM_BENCH_SECONDS"]) / REPORTS
    for epoch in range(1, REPORTS + 1):
        time.sleep(pause)
        tune.report({**metrics(epoch), "time": time.time()})


class Watch:
    """The driver's own memory and processor time, by the number of trials that have ended."""

    def __init__(self) -> None:
        self.times: list[Moment] = [now()]
        self.bytes: list[int] = [self.memory()]

    def memory(self) -> int:
        return int(psutil.Process().memory_info().rss)

    def ended(self) -> None:
        self.times.append(now())
        self.bytes.append(self.memory())

    def table(self) -> list[str]:
        """A row for each part of the trials."""
        lines = ["| trials | driver's ms of CPU a trial | its memory, MB |", "|---|---|---|"]
        marks = np.linspace(0, len(self.times) - 1, STEPS + 1).astype(int)
        for start, end in itertools.pairwise(marks):
            each = 1000 * (self.times[end][1] - self.times[start][1]) / (end - start)
            lines.append(f"| {start + 1} to {end} | {each:.1f} | {self.bytes[end] / 1e6:.0f} |")
        return lines

    def slope(self) -> float:
        """Bytes a trial, over the later half."""
        half = len(self.bytes) // 2
        return float(np.polyfit(np.arange(half, len(self.bytes)), self.bytes[half:], 1)[0])


def slots(trials: int, at_a_time: int, seconds: float) -> list[str]:
    """The driver and Ray."""
    os.environ.update(ENVIRONMENT, GKM_BENCH_SECONDS=str(seconds))  # Ray reads them when it is imported
    import ray

    from gkm.study.execution.executor import execute
    from gkm.study.execution.trial_process import Job
    from gkm.training.selection import Selection

    ray.init("local", num_cpus=at_a_time, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    design, watch, others, ended = queued(trials), Watch(), Others(), set[int]()
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
        held = record(RecordPlace(folder), design)
        job = Job(data="", folder=folder, record_id=held.id, selection=Selection())
        with held.held(), shown(held, design, Path(folder)) as show:

            def trial(row: TrialRow) -> None:
                show(row)
                if row.status == "finished" and row.number not in ended:
                    ended.add(row.number)
                    watch.ended()
                    if len(ended) % max(1, trials // 20) == 0:
                        others.look()

            execute(Conductor(held, design, events=Events(trial=trial)), job, train=sleep_as_trial)
        rows = held.results().trials
    ray.shutdown()
    assert len(ended) == trials
    spans = [(row.history[0]["time"] - seconds / REPORTS, row.history[-1]["time"]) for row in rows]
    begins = sorted(begin for begin, _ in spans)
    full, last = begins[min(at_a_time, trials) - 1], begins[-1]
    whole = begins[0], max(end for _, end in spans)
    warm = watch.times[min(at_a_time, trials // 2)], watch.times[-1]
    per_slot = others.seconds(True) / at_a_time
    each = 1000 * (warm[1][1] - warm[0][1]) / (trials - min(at_a_time, trials // 2))
    return [
        f"{trials} trials of {seconds:g} s with {REPORTS} reports on {at_a_time} slots: {whole[1] - whole[0]:.0f} s",
        f"filled, once all slots had begun: {100 * share(spans, full, last, at_a_time):.1f} %; from first to last: "
        f"{100 * share(spans, *whole, at_a_time):.1f} %; the first of each took {full - begins[0]:.0f} s to begin",
        f"driver: {each:.0f} ms of CPU a trial, so one core feeds {1000 * seconds / each:.0f} slots of such trials; "
        f"Ray's servers {1000 * others.seconds(False) / trials:.0f} ms; a slot's process {per_slot:.1f} s in all",
        f"memory: {watch.bytes[-1] / 1e6:.0f} MB at the end; {watch.slope() / 1e3:+.1f} KB a trial over the later half",
        *watch.table(),
    ]


def share(spans: list[tuple[float, float]], start: float, end: float, at_a_time: int) -> float:
    """How much of the slots' time between `start` and `end` trials ran."""
    busy = sum(max(0.0, min(end, last) - max(start, first)) for first, last in spans)
    return busy / (at_a_time * (end - start))


class Others:
    """Processor time of Ray's processes below this one, as far as they were seen."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[bool, float]] = {}

    def look(self) -> None:
        """Takes some hundredths of a second."""
        for process in psutil.Process().children(recursive=True):
            try:
                times, words = process.cpu_times(), process.cmdline()
            except psutil.Error:
                continue
            is_slot = bool(words) and words[0].startswith(("ray::ImplicitFunc", "ray::IDLE"))
            self._seen[process.pid] = is_slot, times.user + times.system

    def seconds(self, of_slots: bool) -> float:
        """Of the processes that trials run in, or of all others."""
        return sum(seconds for is_slot, seconds in self._seen.values() if is_slot == of_slots)


def decisions(design: Grid | SearchSpace, trials: int, at_a_time: int) -> list[str]:
    """Conductor and record alone, each trial's reports a second of simulated time apart."""
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
        held = record(RecordPlace(folder), design)
        with held.held():
            clock = 0.0
            conductor = Conductor(held, design, clock=lambda: clock)
            coming: list[tuple[float, int, int]] = []
            while True:
                while len(coming) < at_a_time and isinstance(given := conductor.next_trial(), Assignment):
                    heapq.heappush(coming, (clock + 1 + given.number / at_a_time % 1, given.number, 1))
                if not coming:
                    break
                clock, number, epoch = heapq.heappop(coming)
                goes_on = conductor.report(number, {**metrics(epoch), "time": clock})
                if goes_on and epoch < REPORTS:
                    heapq.heappush(coming, (clock + 1, number, epoch + 1))
                else:
                    conductor.ended(number)
                    watch.ended()
        assert len(watch.times) == trials + 1
    took = watch.times[-1][0] - watch.times[0][0]
    kind = "queued" if isinstance(design, Grid) else "drawn by TPE, judged by ASHA"
    return [f"{trials} trials, {kind}, {at_a_time} at a time, {REPORTS} reports each: {took:.0f} s", *watch.table()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("slots", "decisions"), default=("slots", "decisions"))
    parser.add_argument("--trials", type=int, default=1000, help="of the first part")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0, help="that a trial takes")
    parser.add_argument("--most", type=int, default=10_000, help="trials of the second part")
    options = parser.parse_args()
    print(describe())
    parts: list[Callable[[], list[str]]] = []
    if "slots" in options.parts:
        parts.append(lambda: slots(options.trials, options.slots, options.seconds))
    if "decisions" in options.parts:
        parts.append(lambda: decisions(queued(options.most), options.most, options.slots))
        parts.append(lambda: decisions(searched(options.most), options.most, options.slots))
    for part in parts:
        print("", *part(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
