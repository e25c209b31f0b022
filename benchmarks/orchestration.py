"""What does running a study cost beside its training? Ours beside bare Ray Tune and Syne Tune, as tables, out.

    make bench-orchestration                      with Syne Tune in .venv-bench/syne-tune; a quarter of an hour
    python benchmarks/orchestration.py --quick    fewer trials, a few minutes
    python benchmarks/orchestration.py --parts record

slots: trials of a second on two slots, against the least possible. empty: trials that do nothing, three reports each.
record: a driver that opens a study with thousands of trials, and asks for one more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe

ROOT = Path(__file__).parents[1]
SYNE_TUNE = ROOT / ".venv-bench" / "syne-tune" / "bin" / "python"
SLOTS = 2
NAMES = {
    "tune": "Ray Tune, OptunaSearch and ASHA",
    "ours": "gkm, journal",
    "ours, database": "gkm, sqlite",
    "ours, mlflow": "gkm, journal, shown in MLflow",
    "syne": "Syne Tune, LocalBackend and ASHA",
}
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}


def run(name: str, trials: int, seconds: float) -> dict[str, float]:
    """A contender in a process of its own."""
    folder = ROOT / "benchmarks"
    if name == "syne":
        command = [str(SYNE_TUNE), str(folder / "syne_tune_contenders.py"), "local", str(trials), str(seconds)]
    else:
        command = [sys.executable, str(folder / "orchestration_contenders.py"), name, str(trials), str(seconds)]
    with tempfile.TemporaryDirectory(prefix="gkm-bench-") as work:
        environment = {**os.environ, **ENVIRONMENT, "SYNETUNE_FOLDER": work}
        return answer_of(subprocess.run(command, capture_output=True, text=True, check=False, env=environment), name)


def answer_of(done: subprocess.CompletedProcess[str], name: str) -> dict[str, float]:
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))))


def slots(names: list[str], trials: int) -> str:
    least = trials / SLOTS
    lines = [
        f"| {trials} trials of a second, {SLOTS} slots | seconds | over the {least:.0f} needed | once warm, a trial |",
        "|---|---|---|---|",
    ]
    for name in names:
        row = run(name, trials, 1.0)
        over = row["seconds"] / least - 1
        lines.append(f"| {NAMES[name]} | {row['seconds']:.1f} | {100 * over:.0f} % | {1000 * row['each']:.0f} ms |")
    return "\n".join(lines)


def empty(names: list[str], trials: int) -> str:
    rows = {name: run(name, trials, 0.0) for name in names}
    peer = rows["tune"]["each"]
    lines = [f"| {trials} empty trials | ms a trial | Ray Tune alone is faster by |", "|---|---|---|"]
    lines += [f"| {NAMES[name]} | {1000 * row['each']:.0f} | {row['each'] / peer:.2f} |" for name, row in rows.items()]
    return "\n".join(lines)


def record(counts: list[int]) -> str:
    lines = [
        "| trials on record | kept in | size, MB | open, s | next trial, s | report, ms | memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    script = str(ROOT / "benchmarks" / "orchestration_record.py")
    for count in counts:
        for kind in ("journal", "sqlite"):
            with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
                place = folder if kind == "journal" else f"sqlite:///{folder}/records.db"
                environment = {**os.environ, **ENVIRONMENT}
                subprocess.run([sys.executable, script, "make", place, str(count)], check=True, env=environment)
                size = sum(path.stat().st_size for path in Path(folder).iterdir())
                command = [sys.executable, script, "measure", place]
                done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
                row: dict[str, Any] = answer_of(done, kind)
            lines.append(
                f"| {count} | {kind} | {size / 1e6:.1f} | {row['open'] + row['conductor']:.2f} | {row['suggest']:.2f} "
                f"| {1000 * row['report']:.0f} | {row['bytes'] / 1e6:.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", nargs="+", choices=("slots", "empty", "record"), default=("slots", "empty", "record")
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    there = [name for name in NAMES if name != "syne" or SYNE_TUNE.exists()]
    print(describe())
    if "slots" in options.parts:
        names = [name for name in there if name in ("tune", "ours", "syne")]
        print(f"\n{slots(names, 40 if options.quick else 200)}", flush=True)
    if "empty" in options.parts:
        print(f"\n{empty(there, 40 if options.quick else 100)}", flush=True)
    if "record" in options.parts:
        print(f"\n{record([100, 1000] if options.quick else [100, 1000, 10_000])}", flush=True)
    print(f"\n{time.monotonic() - start:.0f} s in all")
    if not SYNE_TUNE.exists():
        print("Syne Tune was left out: make bench-orchestration installs it into .venv-bench/syne-tune")


if __name__ == "__main__":
    main()
