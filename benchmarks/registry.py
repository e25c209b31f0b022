"""How long do the registry, a report and MLflow's pages take to answer, with how much in them? A table out.

    python benchmarks/registry.py                 a study of 1,000 trials with 27 epochs each, 200 versions
    python benchmarks/registry.py --quick         fewer of both

The peer is the same command, or the same request, in a workspace with 8 trials and 2 versions. Commands are whole
processes; requests are those that MLflow's page of an experiment, and its page of a model, make before they show
anything, to an `mlflow server` with one worker. What the browser does is not in it.
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
    "gkm report STUDY": ("report.py", STUDY),
    "gkm study list": ("study.py", "list"),
    "gkm registry history": ("registry.py", "history"),
    "gkm registry list": ("registry.py", "list"),
    "gkm registry show champion": ("registry.py", "show", "champion"),
}
Times = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20 trials, 10 versions, one round")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.versions, options.rounds = 20, 10, 1
    found: list[list[Times]] = []
    for size in (SMALL, (options.trials, options.versions)):
        with tempfile.TemporaryDirectory(prefix="gkm-bench-") as folder:
            workspace = Path(folder) / "runs"
            began = time.monotonic()
            make(workspace, *size)
            print(f"{size[0]} trials and {size[1]} versions made in {time.monotonic() - began:.0f} s", file=sys.stderr)
            asked = answers(workspace, options.rounds)
            found.append([commands(workspace) | times for times in asked])
    print(describe())
    print(f"\n| what | {SMALL[0]} trials, {SMALL[1]} versions, s | {options.trials}, {options.versions}, s | times |")
    print("|---|---|---|---|")
    small, large = ({name: median(times[name] for times in rounds) for name in rounds[0]} for rounds in found)
    for name, seconds in large.items():
        print(f"| {name} | {small[name]:.2f} | {seconds:.2f} | {seconds / small[name]:.1f} |")


def commands(workspace: Path) -> Times:
    """Seconds of each command, from its start to its end."""
    times = {}
    for name, (script, *arguments) in COMMANDS.items():
        command = [sys.executable, str(ROOT / "pipelines" / script), *arguments, "--workspace", str(workspace)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        times[name] = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return times


def answers(workspace: Path, rounds: int) -> list[Times]:
    """Seconds of each request that the first view of MLflow's pages makes."""
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
    with server(workspace) as address:
        found = []
        for _ in range(rounds):
            times = {}
            for name, (path, body) in asked.items():
                began = time.perf_counter()
                answer(f"{address}/{path}", body)
                times[name] = time.perf_counter() - began
            found.append(times)
    return found


def answer(url: str, body: object = None) -> bytes:
    """What a server says, with `body` as JSON if there is any."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as said:
        text: bytes = said.read()
        return text


@contextmanager
def server(workspace: Path) -> Iterator[str]:
    """An MLflow server of the workspace's store, on a free port of 127.0.0.1."""
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
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main()
