"""Studies ended at random moments, and run again: does each end as one that nobody disturbed?

A study of twelve short trials is run once undisturbed, one trial at a time. Then, for every kind of ending and as many
random moments as asked for, the same study is started in an empty workspace, disturbed at that moment (Ctrl-C, SIGTERM,
or kill -9 of the driver, of a trial's process, or of the raylet), and the same command is run again until it ends by
itself. Compared are trial by trial: settings, seed, status, reason, every epoch's figures, the winner, and what MLflow
has. With two trials at a time decisions depend on who is faster, so there it is checked that nothing is lost, doubled
or left: every trial ended once, epochs without gaps, one run for each trial, no process and no temporary folder.

    .venv/bin/python tests/soak/endings.py                      # 10 moments for each ending and both ways: 3 hours
    .venv/bin/python tests/soak/endings.py --jobs 2             # two studies at a time
    .venv/bin/python tests/soak/endings.py --moments 1 --slots 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ENDINGS = ("ctrl-c", "sigterm", "kill-driver", "kill-trial", "kill-raylet")
SPACE = """
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, SearchSpace

SPACE = SearchSpace(
    {"optim.learning_rate": Float(1e-5, 1e-2, log=True), "model.num_kernels": Choice(1, 3, 5)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=4),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=4),
    ),
    baseline={"optim.learning_rate": 1e-3, "model.num_kernels": 3},
    trials=12, first_rung_epochs=1, reduction_factor=2, confirm=2,
)
"""
VOLATILE = ("seconds", "time", "seconds_per_megapixel", "system/")
"""Metrics that differ from run to run."""


@dataclass
class Bench:
    """Where studies are run."""

    folder: Path
    data: Path
    slots: int
    numbers: dict[str, int] = field(default_factory=dict)

    def command(self, workspace: Path) -> list[str]:
        return [
            sys.executable,
            str(ROOT / "pipelines" / "sweep.py"),
            *("--space", str(self.folder / "space.py"), "--data", str(self.data), "--study", "soak"),
            *("--workspace", str(workspace), "--concurrent", str(self.slots), "--no-report"),
        ]

    def start(self, workspace: Path) -> subprocess.Popen[str]:
        temporary = self.temporary(workspace)
        temporary.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TMPDIR": str(temporary)}
        for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "GKM_RECORD", "GKM_WORKSPACE"):
            environment.pop(name, None)
        with (self.folder / f"{workspace.name}.log").open("a") as log:
            return subprocess.Popen(
                self.command(workspace), env=environment, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=ROOT
            )

    def temporary(self, workspace: Path) -> Path:
        """Temporary files of the studies in `workspace`; a short path, since Ray has sockets there."""
        return self.folder / str(self.numbers.setdefault(workspace.name, len(self.numbers)))

    def finish(self, workspace: Path, most: int = 6) -> int:
        """Run the command until it ends by itself; how many times it took."""
        for attempt in range(1, most + 1):
            code = self.start(workspace).wait(600)
            if code == 0:
                return attempt
        raise AssertionError(f"the study did not end in {most} starts (last exit status {code})")


def content(workspace: Path) -> dict[int, dict[str, Any]]:
    """What the record has, trial by trial."""
    from gkm.study.record.record import RecordPlace, open_record

    record = open_record(RecordPlace(str(workspace / "studies")), "soak")
    assert record is not None
    results = record.results()
    assert results.status == "finished", f"the study is {results.status}: {results.reason}"
    winner = results.winner
    assert winner is not None
    trials = {
        row.number: {
            "status": row.status,
            "reason": row.reason,
            "parameters": row.parameters,
            "seed": row.seed,
            "group": row.group,
            "phase": row.phase,
            "photographs": row.photographs,
            "epochs": [_steady(metrics) for metrics in row.history],
            "run": row.run_id,
        }
        for row in results.trials
    }
    return trials | {-1: {"winner": winner.number, "best": results.best.number if results.best else None}}


def mlflow_content(workspace: Path) -> dict[int, dict[str, Any]]:
    """What MLflow has, trial by trial; fails where a trial has two runs or a step two points."""
    from gkm.tracking import open_tracking

    tracking = open_tracking(workspace)
    found: dict[int, dict[str, Any]] = {}
    for run in tracking.find({"gkm.kind": "trial", "gkm.study": "soak"}):
        number = int(run.data.tags["gkm.number"])
        assert number not in found, f"trial {number} has two runs in MLflow"
        points = tracking.client.get_metric_history(run.info.run_id, "best/val/psnr")
        steps = [point.step for point in points]
        assert len(set(steps)) == len(steps), f"trial {number} has steps twice in MLflow: {steps}"
        status = run.data.tags["gkm.status"]
        found[number] = {
            "status": status,
            "mlflow": run.info.status,
            "points": {point.step: round(point.value, 9) for point in sorted(points, key=lambda point: point.step)},
        }
    return found


def check_agreement(workspace: Path) -> None:
    """Record and MLflow say the same; nothing runs that does not run; epochs without gaps."""
    record, mlflow = content(workspace), mlflow_content(workspace)
    record.pop(-1)
    assert set(record) == set(mlflow), f"trials of the record {sorted(record)}, of MLflow {sorted(mlflow)}"
    assert sorted(record) == list(range(len(record))), f"numbers have gaps: {sorted(record)}"
    for number, trial in record.items():
        shown = mlflow[number]
        assert shown["status"] == trial["status"], f"trial {number}: {trial['status']}, in MLflow {shown['status']}"
        assert shown["mlflow"] in ("FINISHED", "FAILED"), f"trial {number} is {shown['mlflow']} in MLflow"
        epochs = [int(metrics["epoch"]) for metrics in trial["epochs"]]
        assert epochs == list(range(1, len(epochs) + 1)), f"trial {number}: epochs {epochs}"
        best = {int(metrics["epoch"]): round(metrics["best/val/psnr"], 9) for metrics in trial["epochs"]}
        assert shown["points"] == best, f"trial {number}: MLflow has {shown['points']}, the record {best}"
        assert trial["status"] in ("finished", "stopped"), f"trial {number} is {trial['status']}: {trial['reason']}"


def check_interrupted(workspace: Path) -> None:
    """After an orderly end before the last trial: nothing is RUNNING anywhere, and nothing is registered."""
    from gkm.registry.versions import versions
    from gkm.study.record.record import RecordPlace, open_record
    from gkm.tracking import open_tracking

    record = open_record(RecordPlace(str(workspace / "studies")), "soak")
    if record is None:
        return
    results = record.results()
    assert results.status in ("interrupted", "finished"), results.status
    if results.status == "finished":
        return
    tracking = open_tracking(workspace)
    running = [run.info.run_id for run in tracking.find({"gkm.study": "soak"}) if run.info.status == "RUNNING"]
    assert not running, f"runs are RUNNING in MLflow after an orderly end: {running}"
    assert not [trial for trial in results.trials if trial.status == "running"]
    assert not versions(tracking), "a model was registered from an interrupted study"


def disturb(process: subprocess.Popen[str], ending: str, moment: float) -> bool:
    """Do it at that moment; False where the study had ended before."""
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    match ending:
        case "ctrl-c":
            process.send_signal(signal.SIGINT)
        case "sigterm":
            process.send_signal(signal.SIGTERM)
        case "kill-driver":
            process.kill()
        case "kill-trial" | "kill-raylet":
            return _kill_descendant(process, "ray::ImplicitFunc" if ending == "kill-trial" else "raylet/raylet")
    return True


def _kill_descendant(process: subprocess.Popen[str], name: str) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                command = " ".join(child.cmdline())
            except psutil.Error:
                continue
            if name in command:
                child.kill()
                return True
        time.sleep(0.05)
    return False


def left_over(bench: Bench, workspace: Path) -> list[str]:
    """Processes and temporary folders that should be gone."""
    temporary = bench.temporary(workspace)
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if f"{workspace} " in f"{command} " or str(temporary) in command:
            found.append(f"process {process.pid}: {command[:100]}")
    found += [str(path) for path in temporary.glob("gkm-*")]
    return found


def wait_for_nothing(bench: Bench, workspace: Path, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while (found := left_over(bench, workspace)) and time.monotonic() < until:
        time.sleep(0.5)
    assert not found, f"left behind: {found}"


@dataclass(frozen=True)
class Undisturbed:
    """What the study is when nobody disturbs it."""

    seconds: float
    record: dict[int, dict[str, Any]]
    mlflow: dict[int, dict[str, Any]]

    @classmethod
    def run(cls, bench: Bench) -> Undisturbed:
        workspace = bench.folder / f"reference-{bench.slots}"
        started = time.monotonic()
        bench.finish(workspace, most=1)
        seconds = time.monotonic() - started
        check_agreement(workspace)
        wait_for_nothing(bench, workspace)
        return cls(seconds, _comparable(content(workspace)), mlflow_content(workspace))


def endure(bench: Bench, ending: str, index: int, moment: float, undisturbed: Undisturbed) -> bool:
    """Disturb a study at that moment and run it to its end; whether all is as it should be."""
    workspace = bench.folder / f"{ending}-{bench.slots}-{index}"
    said = f"{ending}, {bench.slots} at a time, after {moment:.1f} s"
    try:
        process = bench.start(workspace)
        happened = disturb(process, ending, moment)
        code = process.wait(240)
        if ending in ("ctrl-c", "sigterm") and happened:
            wanted = {"ctrl-c": (130, 0), "sigterm": (143, 0)}[ending]
            assert code in wanted, f"exit status {code}, not {wanted}"
            check_interrupted(workspace)
        if ending != "kill-driver":
            wait_for_nothing(bench, workspace)
        starts = bench.finish(workspace)
        check_agreement(workspace)
        if bench.slots == 1:
            now = _comparable(content(workspace))
            assert now == undisturbed.record, _difference(undisturbed.record, now)
            assert mlflow_content(workspace) == undisturbed.mlflow, "MLflow has something else"
        wait_for_nothing(bench, workspace)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"  FAILED: {said}: {error}\n    kept in {workspace}", flush=True)
        return False
    print(f"  passed: {said} (exit status {code}, then {starts} more)", flush=True)
    shutil.rmtree(workspace)
    return True


def campaign(folder: Path, slots: int, endings: list[str], moments: int, seed: int, jobs: int) -> list[bool]:
    """Whether each of the disturbed studies ended as it should."""
    from tests.tiny_data import write_tiny_data

    data = folder / "data"
    if not data.exists():
        write_tiny_data(data)
    (folder / "space.py").write_text(SPACE)
    bench = Bench(folder, data, slots)
    undisturbed = Undisturbed.run(bench)
    trials = len(undisturbed.record) - 1
    print(f"undisturbed, {slots} at a time: {trials} trials in {undisturbed.seconds:.0f} s", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        tasks = []
        for ending in endings:
            draw = random.Random(f"{seed}/{slots}/{ending}")
            for index in range(moments):
                moment = draw.uniform(0.5, undisturbed.seconds * 0.9)
                tasks.append(pool.submit(endure, bench, ending, index, moment, undisturbed))
        return [task.result() for task in tasks]


def _steady(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if not key.startswith(VOLATILE)}


def _comparable(trials: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {number: {key: value for key, value in trial.items() if key != "run"} for number, trial in trials.items()}


def _difference(expected: dict[int, dict[str, Any]], found: dict[int, dict[str, Any]]) -> str:
    for number in sorted(set(expected) | set(found)):
        for key in sorted(set(expected.get(number, {})) | set(found.get(number, {}))):
            a, b = (side.get(number, {}).get(key) for side in (expected, found))
            if a != b:
                return f"trial {number}, {key}: undisturbed {json.dumps(a)[:300]}, now {json.dumps(b)[:300]}"
    return "no difference"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=10, help="random moments for each ending")
    parser.add_argument("--slots", type=int, action="append", help="trials at a time; may be repeated; default: 1 2")
    parser.add_argument("--ending", action="append", choices=ENDINGS, help="may be repeated; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="disturbed studies at a time")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    outcomes = [
        outcome
        for slots in arguments.slots or [1, 2]
        for outcome in campaign(
            folder,
            slots,
            arguments.ending or list(ENDINGS),
            arguments.moments,
            arguments.seed,
            arguments.jobs,
        )
    ]
    failures = outcomes.count(False)
    print(f"{len(outcomes)} studies disturbed, {failures} failures" + (f"; see {folder}" if failures else ""))
    if not failures:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
