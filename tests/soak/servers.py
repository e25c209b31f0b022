"""Each server of `make stack` killed while a study trains on it: what goes on by itself, what is lost or doubled?

A study of three short trials runs as a job, undisturbed, one trial at a time. Then, for each of PostgreSQL, S3, MLflow
and Ray, the same study runs under another name; when a third of its epochs are on record the server is killed
(SIGKILL), the stack starts it again, and where the job has failed the same command is submitted again. Compared with
the undisturbed study, trial by trial: settings, seed, status, every epoch's figures, and what MLflow has. Then backup,
a new stack with the backup's passwords, restore: the same figures.

    .venv/bin/python tests/soak/servers.py                   # ten minutes on two cores
    .venv/bin/python tests/soak/servers.py --server mlflow   # one of them
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.stack import Stack  # noqa: E402

SERVERS = ("postgres", "s3", "mlflow", "ray")
SPACE = """
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, Float, SearchSpace

SPACE = SearchSpace(
    {"optim.learning_rate": Float(1e-5, 1e-2, log=True), "model.num_kernels": Choice(1, 3)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=8),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=6),
    ),
    trials=3, first_rung_epochs=2, reduction_factor=2, confirm=0,
)
"""
READ = """
import json, sys
from gkm.study.record.record import RecordPlace, open_record
from gkm.tracking import open_tracking
import os
from pathlib import Path
name, everything = sys.argv[1], sys.argv[2] == "all"
record = open_record(RecordPlace(os.environ["GKM_RECORD"]), name)
results = record.results() if record else None
found = {"status": results.status if results else "none", "trials": [], "runs": []}
for row in results.trials if results else []:
    steady = [{k: v for k, v in m.items() if not k.startswith(("seconds", "time", "system/"))} for m in row.history]
    found["trials"].append([row.number, row.status, row.parameters, row.seed, steady])
if everything:
    tracking = open_tracking(Path(os.environ["GKM_WORKSPACE"]), os.environ["MLFLOW_TRACKING_URI"])
    for run in tracking.find({"gkm.kind": "trial", "gkm.study": name}):
        points = tracking.client.get_metric_history(run.info.run_id, "val/psnr")
        shown = sorted([point.step, round(point.value, 9)] for point in points)
        found["runs"].append([int(run.data.tags["gkm.number"]), run.data.tags["gkm.status"], shown])
    found["runs"].sort()
print(json.dumps(found))
"""
MOST_SUBMISSIONS = 4


def read(stack: Stack, study: str, everything: bool = True) -> dict[str, Any]:
    """What the record has of a study, and MLflow."""
    said = subprocess.run(
        [sys.executable, "-c", READ, study, "all" if everything else "record"], capture_output=True, text=True,
        check=True, cwd=ROOT, env={**os.environ, **stack.environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def submit(stack: Stack, study: str) -> subprocess.Popen[str]:
    workspace = stack.folder / "workspace"
    return stack.submit(
        "sweep", "--space", workspace / "space.py", "--data", workspace / "tiny", "--study", study,
        "--concurrent", 1, "--no-report",
    )  # fmt: skip


def epochs(found: dict[str, Any]) -> int:
    return sum(len(trial[4]) for trial in found["trials"])


def disturb(stack: Stack, server: str, undisturbed: dict[str, Any]) -> bool:
    """One study through the kill of a server; whether it is what it would have been."""
    began, study = time.monotonic(), f"without-{server}"
    job = submit(stack, study)
    while job.poll() is None and epochs(read(stack, study, everything=False)) < epochs(undisturbed) / 3:
        time.sleep(0.5)
    early = job.poll() is None
    back = stack.call("restart", server, "--kill")
    submissions = 1
    while True:
        said, _ = job.communicate(timeout=900)
        if job.returncode == 0 or submissions == MOST_SUBMISSIONS:
            break
        submissions += 1
        job = submit(stack, study)
    found = read(stack, study)
    same = found == undisturbed
    verdict = "equal" if same else "DIFFERENT" if job.returncode == 0 else "NOT FINISHED"
    print(
        f"  {server}: {back.stdout.strip() or back.stderr.strip()} The study took {submissions} submission(s), "
        f"{time.monotonic() - began:.0f} s; {len(found['trials'])} trials, {epochs(found)} epochs, "
        f"{len(found['runs'])} runs: {verdict}",
        flush=True,
    )
    if not same:
        print(f"    undisturbed {json.dumps(undisturbed)[:1500]}\n    now {json.dumps(found)[:1500]}\n{said[-1500:]}")
    return same and early and back.returncode == 0


def through_backup(stack: Stack, studies: list[str]) -> bool:
    """Backup, a new stack with its passwords, restore; whether all figures are the same."""
    target = stack.folder.with_suffix(".backup")
    before = [read(stack, study) for study in studies]
    other = Stack()
    try:
        written = stack.call("backup", target)
        stack.stop()
        (other.folder / "keys").mkdir(mode=0o700)
        shutil.copyfile(target / "secrets.json", other.folder / "keys" / "secrets.json")
        other.start()
        restored = other.call("restore", target, "--yes")
        print(f"  {written.stdout.strip()} {restored.stdout.strip()} {written.stderr}{restored.stderr}", flush=True)
        same = [read(other, study) for study in studies] == before
    finally:
        other.remove()
        shutil.rmtree(target, ignore_errors=True)
    print(f"  backup and restore of {len(studies)} studies: {'equal' if same else 'DIFFERENT'}", flush=True)
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", choices=SERVERS, help="may be repeated; default: all")
    chosen = parser.parse_args().server or list(SERVERS)
    from tests.tiny_data import write_tiny_data

    stack = Stack()
    try:
        stack.start()
        write_tiny_data(stack.folder / "workspace" / "tiny")
        (stack.folder / "workspace" / "space.py").write_text(SPACE)
        began = time.monotonic()
        job = submit(stack, "undisturbed")
        said, _ = job.communicate(timeout=900)
        assert job.returncode == 0, said
        undisturbed = read(stack, "undisturbed")
        count = len(undisturbed["trials"])
        print(
            f"undisturbed: {count} trials, {epochs(undisturbed)} epochs in {time.monotonic() - began:.0f} s", flush=True
        )
        passed = [disturb(stack, server, undisturbed) for server in chosen]
        passed.append(through_backup(stack, ["undisturbed", *(f"without-{server}" for server in chosen)]))
    finally:
        stack.remove()
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
