"""What do the registry, a report and MLflow's pages take to answer, with how much in them? A table out.

    python benchmarks/registry.py                 a study of 1,000 trials with 27 epochs each, 200 versions
    python benchmarks/registry.py --quick         fewer of both

The peer is the same command, or the same request, in a workspace with 8 trials and 2 versions. Commands are whole
processes; requests are those that MLflow's page of an experiment, and its page of a model, make before they show
anything, to an `mlflow server` with one worker. What the browser does is not in it. Seconds of processor time stand
beside those of the clock: other work on the machine changes them less.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from machine import describe
from registry_contents import STUDY, make

from gkm.tracking import open_tracking

ROOT = Path(__file__).parents[1]
SMALL = (8, 2)
COMMANDS = {
    "gkm report STUDY --anew": ("report.py", STUDY, "--anew"),
    "gkm report STUDY, nothing has changed": ("report.py", STUDY),
    "gkm study list": ("study.py", "list"),
    "gkm registry history": ("registry.py", "history"),
    "gkm registry list": ("registry.py", "list"),
    "gkm registry show champion": ("registry.py", "show", "champion"),
}
Times = dict[str, tuple[float, float]]
"""What was asked -> seconds on the clock, and of processor time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20 trials, 10 versions, one round")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.versions, options.rounds = 20, 10, 1
    found: dict[tuple[int, int], Times] = {}
    large = (options.trials, options.versions)
    for size in (large, SMALL):
        with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
            workspace = Path(folder) / "runs"
            began = time.monotonic()
            make(workspace, *size)
            print(f"{size[0]} trials and {size[1]} versions made in {time.monotonic() - began:.0f} s", file=sys.stderr)
            rounds = [answers(workspace, options.rounds), *(commands(workspace) for _ in range(options.rounds))]
            found[size] = rounds[0] | {name: middle([times[name] for times in rounds[1:]]) for name in COMMANDS}
            print(json.dumps(found[size]), file=sys.stderr)
    print(describe())
    print(
        f"\n| what | processor, s, {SMALL[0]} trials, {SMALL[1]} versions | {large[0]}, {large[1]} | times | clock, s |"
    )
    print("|---|---|---|---|---|")
    for name, (clock, processor) in found[large].items():
        less = found[SMALL][name][1]
        print(f"| {name} | {less:.2f} | {processor:.2f} | {processor / max(less, 0.01):.1f} | {clock:.2f} |")


def middle(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Medians of both."""
    clock, processor = zip(*times, strict=True)
    return median(clock), median(processor)


def commands(workspace: Path) -> Times:
    """Of each command, from its start to its end."""
    times: Times = {}
    for name, (script, *arguments) in COMMANDS.items():
        command = [sys.executable, str(ROOT / "pipelines" / script), *arguments, "--workspace", str(workspace)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        began, worked = time.perf_counter(), os.times()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        now = os.times()
        processor = now.children_user + now.children_system - worked.children_user - worked.children_system
        times[name] = (time.perf_counter() - began, processor)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return times


def answers(workspace: Path, rounds: int) -> Times:
    """Of each request that the first view of MLflow's pages makes, medians over `rounds`."""
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    experiment = tracking.experiment_id
    filtered = f"tags.`gkm.study` = '{STUDY}'"
    search = {"experiment_ids": [experiment], "max_results": 100, "order_by": ["attributes.start_time DESC"]}
    models = {"experiment_ids": [experiment], "order_by": [{"field_name": "creation_time", "ascending": False}]}
    runs = [run.info.run_id for run in tracking.client.search_runs([experiment], filtered, max_results=10)]
    curves = urllib.parse.urlencode({"run_ids": runs, "metric_key": "val/psnr", "max_results": 320}, doseq=True)
    named = urllib.parse.urlencode({"filter": "name='gkmnet'", "max_results": 100})
    asked: dict[str, tuple[str, object]] = {
        "MLflow: the page itself": ("", None),
        "MLflow: experiments/get-by-name": ("ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=gkm", None),
        "MLflow: runs/search, the newest 100": ("ajax-api/2.0/mlflow/runs/search", search),
        "MLflow: runs/search, 100 of the study": ("ajax-api/2.0/mlflow/runs/search", {**search, "filter": filtered}),
        "MLflow: logged-models/search": ("ajax-api/2.0/mlflow/logged-models/search", models),
        "MLflow: one curve of 10 runs": (f"ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{curves}", None),
        "MLflow: model-versions/search, 100": (f"ajax-api/2.0/mlflow/model-versions/search?{named}", None),
    }
    with server(workspace) as (address, group):
        times: Times = {}
        for name, (path, body) in asked.items():
            every = []
            for _ in range(rounds):
                began, worked = time.perf_counter(), processor_seconds(group)
                answer(f"{address}/{path}", body)
                every.append((time.perf_counter() - began, processor_seconds(group) - worked))
            times[name] = middle(every)
    return times


def processor_seconds(group: int) -> float:
    """What all processes of a process group have worked so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(words[2]) == group:
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def answer(url: str, body: object = None) -> bytes:
    """What a server says, with `body` as JSON if there is any."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as said:
        text: bytes = said.read()
        return text


@contextmanager
def server(workspace: Path) -> Iterator[tuple[str, int]]:
    """The address of an MLflow server of the workspace's store, on a free port of 127.0.0.1, and its process group."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{workspace}/mlflow.db",
    ]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (workspace / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=workspace, env=environment, start_new_session=True
        )
    try:
        for _ in range(240):
            try:
                answer(f"http://127.0.0.1:{port}/health")
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            sys.exit(f"the server did not start: {(workspace / 'server.log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main()
