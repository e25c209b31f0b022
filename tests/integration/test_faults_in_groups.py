"""`gkm train` on groups of workers through every fault: figures as if undisturbed, one run, no step lost or doubled."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from gkm.tracking import TrialRecord, open_tracking
from gkm.training.store import newest_checkpoint, read_notes
from tests.mlflow_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.ray, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, STEPS = 8, 20
SETTINGS: Mapping[str, object] = {
    "model.width": 2,
    "model.max_kernel_size": 5,
    "model.num_kernels": 3,
    "model.num_scales": 1,
    "data.crop_pixels": 16,
    "data.batch_size": 6,
    "data.crops_per_photo": 6 * STEPS // 4,
    "loss.schedule": "l2",
    "training.epochs": EPOCHS,
}
OFTEN = ("--set", "training.checkpoint_minutes=1e-9")
"""A checkpoint whenever workers look what is asked of them, about once a second."""
MOST_SECONDS = 900


class Training:
    """`gkm train` with the same settings, again and again."""

    def __init__(self, workspace: Path, data: Path, tracking: str | None = None) -> None:
        self.workspace, self.data = workspace, data
        self.tracking = tracking or f"sqlite:///{workspace}/mlflow.db"
        self.temporary = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
        """Names of Ray's sockets are cut where it is longer."""
        self.seen: set[psutil.Process] = set()
        self._said = workspace / "said.txt"

    def start(self, *arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TMPDIR": str(self.temporary)}
        variables |= {"MLFLOW_TRACKING_URI": self.tracking, **environment}
        variables.pop("RAY_ADDRESS", None)
        settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, ROOT / "pipelines" / "train.py", "--data", self.data, "--workspace", self.workspace]
        with self._said.open("w") as said:
            process = subprocess.Popen(
                [str(part) for part in (*command, *settings, *arguments)], env=variables, stderr=said
            )
        self.seen.add(psutil.Process(process.pid))
        return process

    @property
    def said(self) -> str:
        """On standard error, by the newest one."""
        return self._said.read_text()

    def finish(self, process: "subprocess.Popen[bytes]", status: int = 0) -> None:
        assert process.wait(timeout=MOST_SECONDS) == status, self.said
        assert "Traceback" not in self.said

    def wait(self, process: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> None:
        until = time.monotonic() + MOST_SECONDS
        while not reached():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"it did not come to that: {self.said}")
            time.sleep(0.005)

    def wait_for_epoch(self, process: "subprocess.Popen[bytes]") -> None:
        """Until one more epoch than now is kept."""
        begun = self.at[0]
        self.wait(process, lambda: self.at[0] > begun)

    @property
    def place(self) -> Path:
        (place,) = self.workspace.glob("trials/trial-*")
        return place

    @property
    def at(self) -> tuple[int, int]:
        """Epochs and batches of the newest checkpoint."""
        if not list(self.workspace.glob("trials/trial-*")):
            return 0, 0
        return newest_checkpoint(str(self.place)) or (0, 0)

    def processes(self, name: str) -> list[psutil.Process]:
        """Those of Ray's with that name, which descend from this one."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                title = " ".join(process.cmdline())
                if title.startswith("ray::") or str(self.temporary) in title:
                    self.seen.add(process)
                if title.startswith(f"ray::{name}"):
                    found.append(process)
        return found

    def writer(self, process: "subprocess.Popen[bytes]") -> psutil.Process:
        """Rank 0, stopped in the midst of writing a checkpoint."""
        found: list[psutil.Process] = []

        def caught() -> bool:
            for path in self.place.glob(".unfinished-*/new/*"):
                number = re.fullmatch(r"\.unfinished-.+\.(\d+)\.\w+", path.parents[1].name)
                if number and int(number[1]) != process.pid:
                    with suppress(psutil.Error):
                        writing = psutil.Process(int(number[1]))
                        writing.suspend()
                        if path.exists() and not (path.parent / "SHA256SUMS").exists():
                            found.append(writing)
                            return True
                        writing.resume()
            return False

        self.wait(process, caught)
        return found[0]

    def record(self) -> TrialRecord:
        """Of the one run that there is."""
        tracking = open_tracking(self.workspace, self.tracking)
        (run,) = tracking.find({"gkm.kind": "trial"})
        for name in ("val/psnr", "train/loss", "best/val/psnr"):
            points = tracking.client.get_metric_history(run.info.run_id, name)
            assert sorted(point.step for point in points) == list(range(1, EPOCHS + 1))
        return tracking.trial(run.info.run_id)

    def assert_as(self, undisturbed: "Training") -> None:
        """The figures of the undisturbed one, every step once, and nothing left."""
        ours, theirs = self.record(), undisturbed.record()
        assert ours.status == "finished"
        for one, other in zip(ours.history, theirs.history, strict=True):
            assert one["train/loss"] == pytest.approx(other["train/loss"], abs=1e-4)
            assert one["val/psnr"] == pytest.approx(other["val/psnr"], abs=0.01)
        newest = load_file(self.place / "checkpoints" / f"epoch-{EPOCHS:07d}" / "optimizer.safetensors")
        assert {float(value) for name, value in newest.items() if name.endswith(".step")} == {EPOCHS * STEPS}
        assert not list(self.workspace.rglob(".unfinished-*"))
        assert not list(self.temporary.glob("gkm-*"))
        assert psutil.wait_procs(self.seen, timeout=30)[1] == []

    def end(self) -> None:
        """Leave no process and no file behind, whatever a test found."""
        self.processes("")
        for process in self.seen:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(self.seen, timeout=30)
        shutil.rmtree(self.temporary, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Iterator[Training]:
    """In one process: with several it is the same but for rounding."""
    training = Training(tmp_path_factory.mktemp("undisturbed"), tiny_data)
    try:
        training.finish(training.start())
        yield training
    finally:
        training.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    made = Server(tmp_path / "server")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def training(tmp_path: Path, tiny_data: Path, request: pytest.FixtureRequest) -> Iterator[Training]:
    """Its trials lie on a disk of their own, of some megabytes, where this user may mount one."""
    folder = tmp_path / "workspace"
    (folder / "trials").mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder / "trials")]
    mounted = shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    tracking = request.getfixturevalue("server").uri if "server" in request.fixturenames else None
    made = Training(folder, tiny_data, tracking)
    yield made
    made.end()
    if mounted:
        subprocess.run(["umount", "-l", str(folder / "trials")], check=True)


def _fill(file: Path) -> None:
    """Write to `file` until its disk is full."""
    with file.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))


def test_whichever_process_is_killed_the_group_goes_on_by_itself(
    server: Server, training: Training, undisturbed: Training
) -> None:
    """A worker, rank 0 while it writes (its newest checkpoint is damaged, too), Ray Train's controller, MLflow; a full
    disk ends it, and the same command goes on."""
    process = training.start("--workers", 2, *OFTEN)
    training.wait_for_epoch(process)
    first = training.writer(process)
    (second,) = [worker for worker in training.processes("RayTrainWorker") if worker != first]
    first.resume()
    second.kill()
    training.wait_for_epoch(process)

    writing = training.writer(process)
    assert writing != first, "the group has started again"
    epoch, batch = training.at
    damaged = training.place / "checkpoints" / (f"epoch-{epoch:07d}" + f"-batch-{batch:07d}" * (batch > 0))
    os.truncate(damaged / "model.safetensors", 100)
    writing.kill()
    training.wait_for_epoch(process)

    (controller,) = training.processes("TrainController")
    workers = training.processes("RayTrainWorker")
    controller.kill()
    training.wait_for_epoch(process)
    assert not set(workers) & set(training.processes("RayTrainWorker"))

    server.kill()
    training.wait_for_epoch(process)
    training.wait(process, lambda: "MLflow cannot be used now" in training.said)
    ballast = training.place.parent / "ballast"
    if os.path.ismount(ballast.parent):
        _fill(ballast)
        training.finish(process, status=2)
        assert "No space left on device" in training.said
        assert "make room" in training.said
        ballast.unlink()
    else:
        training.finish(process, status=2)
        assert "start it again when MLflow is back" in training.said
    server.start()
    training.finish(training.start())
    assert any("is damaged; training goes on from" in note for note in read_notes(str(training.place)))
    training.assert_as(undisturbed)


def test_a_lost_node_is_replaced_or_waited_for_no_longer_than_that(training: Training, undisturbed: Training) -> None:
    """kill -9 of the raylet of one of two nodes: once another node comes, once none does, and the group gives up."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    head = {"num_cpus": 1, "temp_dir": str(training.temporary / "ray"), "_system_config": quick}
    # Ray writes the cluster's address there, too, and expects the folder of an earlier Ray.
    Path("/tmp/ray").mkdir(exist_ok=True)
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        node = cluster.add_node(num_cpus=1)
        options = (*OFTEN, "--workers", "2:3", "--patience", 0.05, "--ray", cluster.address)
        process = training.start(*options, RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="8")
        training.wait_for_epoch(process)
        _kill_raylet(node)
        node = cluster.add_node(num_cpus=1)
        training.wait_for_epoch(process)
        training.wait_for_epoch(process)
        _kill_raylet(node)
        training.finish(process, status=2)
        assert "the cluster had no room for 2 workers of 1 CPU each within 0.05 minutes" in training.said
        assert training.at > (2, 0)
    finally:
        cluster.shutdown()
    training.finish(training.start())
    training.assert_as(undisturbed)


def _kill_raylet(node: object) -> None:
    (raylet,) = [info.process for info in node.all_processes["raylet"]]  # type: ignore[attr-defined]
    os.kill(raylet.pid, signal.SIGKILL)
