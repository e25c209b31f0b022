"""What may happen to a study beside being killed (tests/soak does that): a second driver, a full disk, lost stores."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gkm.registry.versions import versions
from gkm.study.record.record import RecordPlace, load_study, open_record
from gkm.study.record.results import StudyResults
from gkm.tracking import Tracking, open_tracking
from tests.mlflow_server import Server

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Choice, SearchSpace

SPACE = SearchSpace(
    {"model.num_kernels": Choice(1, 3, 5)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=4),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=6),
    ),
    trials=4, first_rung_epochs=2, reduction_factor=2, confirm=0,
)
"""


class Sweep:
    """The sweep command on a workspace of its own."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data, self.workspace = folder, data, folder / "runs"
        self.space = folder / "space.py"
        self.space.write_text(SPACE)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *more: object, **environment: str) -> subprocess.Popen[str]:
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TMPDIR": str(self.temporary)}
        variables |= environment
        for name in {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "GKM_RECORD", "GKM_WORKSPACE"} - set(environment):
            variables.pop(name, None)
        arguments = ("--space", self.space, "--data", self.data, "--study", "s", "--workspace", self.workspace)
        command = [sys.executable, ROOT / "pipelines" / "sweep.py", *arguments, "--no-report", *more]
        process = subprocess.Popen(
            list(map(str, command)), env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.started.append(process)
        return process

    def run(self, *more: object, **environment: str) -> tuple[int, str, str]:
        process = self.start(*more, **environment)
        output, errors = process.communicate(timeout=280)
        return process.returncode, output, errors

    def wait_for_epochs(self, process: subprocess.Popen[str], count: int = 1) -> None:
        """Until so many checkpoints were written."""
        until = time.monotonic() + 120
        while len(list(self.workspace.glob("studies/s/trials/*/checkpoints/epoch-*/SHA256SUMS"))) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)

    @contextlib.contextmanager
    def trials_suspended(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """No trial of the command goes on meanwhile; itself it lives."""
        suspended = []
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "".join(child.cmdline()).startswith("ray::ImplicitFunc"):
                    child.suspend()
                    suspended.append(child)
        assert suspended
        try:
            yield
        finally:
            for child in suspended:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.resume()

    def kill_all(self, process: subprocess.Popen[str]) -> None:
        """Kill -9 of the command and of all that it started."""
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.communicate()
        psutil.wait_procs(everyone, timeout=30)

    @property
    def temporary(self) -> Path:
        (self.folder / "tmp").mkdir(exist_ok=True)
        return self.folder / "tmp"

    @property
    def results(self) -> StudyResults:
        return load_study(RecordPlace(str(self.workspace / "studies")), "s")


@pytest.fixture
def sweep(tmp_path: Path, tiny_data: Path) -> Iterator[Sweep]:
    made = Sweep(tmp_path, tiny_data)
    yield made
    for process in made.started:
        if process.poll() is None:
            made.kill_all(process)


def _consistent(sweep: Sweep, tracking: Tracking | None = None) -> None:
    """Record and MLflow agree: one finished run for each trial, every epoch once."""
    results = sweep.results
    assert results.status == "finished"
    tracking = tracking or open_tracking(sweep.workspace)
    own = {"gkm.kind": "trial", "gkm.record": results.record_id}
    runs = {int(run.data.tags["gkm.number"]): run for run in tracking.find(own)}
    assert sorted(runs) == [trial.number for trial in results.trials]
    assert len(tracking.find(own)) == len(runs)
    for trial in results.trials:
        assert runs[trial.number].data.tags["gkm.status"] == trial.status
        assert runs[trial.number].info.status == "FINISHED"
        points = tracking.client.get_metric_history(runs[trial.number].info.run_id, "best/val/psnr")
        assert sorted(point.step for point in points) == [int(metrics["epoch"]) for metrics in trial.history]


def test_a_second_driver_is_refused_by_name_and_takes_over_from_a_dead_one(sweep: Sweep) -> None:
    first = sweep.start()
    sweep.wait_for_epochs(first)
    with sweep.trials_suspended(first):  # or it might be done before the second one has started
        code, _, errors = sweep.run()
    assert code == 2, errors
    assert f"study s: is being run by process {first.pid} on " in errors
    assert len(errors.strip().splitlines()) == 1
    first.kill()
    first.communicate()
    second = sweep.start()
    before = len(list(sweep.workspace.glob("studies/s/trials/*/checkpoints/epoch-*/SHA256SUMS")))
    record = RecordPlace(str(sweep.workspace / "studies"))
    until = time.monotonic() + 120
    while True:
        opened = open_record(record, "s")
        holder = opened.holder() if opened else None
        if holder is not None and holder.process == second.pid:
            break
        assert second.poll() is None, second.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    output, errors = second.communicate(timeout=280)
    assert second.returncode == 0, errors
    assert f"taking over from process {first.pid}" in output + errors
    assert before
    _consistent(sweep)


def test_ctrl_c_ends_in_order_and_registers_nothing(sweep: Sweep) -> None:
    process = sweep.start()
    sweep.wait_for_epochs(process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted by Ctrl-C" in output + errors
    assert "Traceback" not in errors
    results, tracking = sweep.results, open_tracking(sweep.workspace)
    assert results.status == "interrupted"
    assert {trial.status for trial in results.trials} <= {"interrupted", "stopped", "finished", "waiting"}
    assert [run.info.status for run in tracking.find({"gkm.study": "s"}) if run.info.status == "RUNNING"] == []
    assert versions(tracking) == []
    assert list(sweep.temporary.glob("gkm-*")) == []
    code, _, errors = sweep.run()
    assert code == 0, errors
    assert len(versions(tracking)) == 1
    _consistent(sweep)


def test_mlflow_and_checkpoints_may_be_lost_and_the_record_too(sweep: Sweep) -> None:
    process = sweep.start()
    sweep.wait_for_epochs(process, 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    before = {t.number: [m["val/psnr"] for m in t.history] for t in sweep.results.trials}
    (sweep.workspace / "mlflow.db").unlink()
    shutil.rmtree(sweep.workspace / "studies" / "s")
    code, _, errors = sweep.run()
    assert code == 0, errors
    _consistent(sweep)
    after = {t.number: [m["val/psnr"] for m in t.history] for t in sweep.results.trials}
    assert all(after[number][: len(values)] == values for number, values in before.items())
    finished = sweep.results
    (sweep.workspace / "studies" / "s.journal").unlink()
    code, output, errors = sweep.run()
    assert code == 0, errors
    assert "its record is gone; it is made anew from MLflow" in output + errors
    again = sweep.results
    assert again.record_id == finished.record_id
    assert [(t.number, t.status, t.score, t.epochs) for t in again.trials] == [
        (t.number, t.status, t.score, t.epochs) for t in finished.trials
    ]


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(sweep: Sweep) -> None:
    process = sweep.start("--concurrent", 1)
    sweep.wait_for_epochs(process, 2)
    sweep.kill_all(process)  # its trial too, which would keep a newer checkpoint before it notices
    newest = sorted(sweep.workspace.glob("studies/s/trials/00000/checkpoints/epoch-*/SHA256SUMS"))[-1].parent
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    code, output, errors = sweep.run("--concurrent", 1)
    assert code == 0, errors
    epoch = int(newest.name.rpartition("-")[2])
    assert f"checkpoint of epoch {epoch} is damaged" in output + errors
    assert any(f"checkpoint of epoch {epoch} is damaged" in note for note in sweep.results.trials[0].notes)
    _consistent(sweep)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(sweep: Sweep) -> None:
    sweep.workspace.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(sweep.workspace)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        code, output, errors = sweep.run("--cache", sweep.folder / "cache")
        assert code == 2, output + errors
        assert "Traceback" not in errors
        assert "space" in errors
        subprocess.run(["mount", "-o", "remount,size=200m", str(sweep.workspace)], check=True)
        code, _, errors = sweep.run("--cache", sweep.folder / "cache")
        assert code == 0, errors
        _consistent(sweep)
    finally:
        subprocess.run(["umount", "-l", str(sweep.workspace)], check=True)


def test_a_server_may_be_away_and_no_password_is_written_anywhere(sweep: Sweep, tmp_path: Path) -> None:
    """The server is killed while trials are trained, and comes back; its address has a password."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    address = server.uri.replace("//", "//somebody:geheim-1234@")
    try:
        process = sweep.start("--tracking-uri", address)
        sweep.wait_for_epochs(process)
        server.kill()
        sweep.wait_for_epochs(process, 5)
        server.start()
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        assert "geheim" not in output + errors
        _consistent(sweep, open_tracking(sweep.workspace, server.uri))
    finally:
        server.kill()
    found = [
        str(path)
        for place in (sweep.workspace, sweep.temporary, folder)
        for path in place.rglob("*")
        if path.is_file() and b"geheim" in path.read_bytes()
    ]
    assert found == []


def test_a_study_that_is_stopped_leaves_long_epochs_within_them_and_goes_on_there(sweep: Sweep) -> None:
    long = sweep.space.read_text().replace("crops_per_photo=4", "crops_per_photo=4096")
    sweep.space.write_text(long.replace("epochs=6", "epochs=6, checkpoint_minutes=0.02"))
    within = "studies/s/trials/*/checkpoints/*-batch-*/SHA256SUMS"

    def newest() -> dict[str, str]:
        return {path.parents[2].name: path.parent.name for path in sorted(sweep.workspace.glob(within))}

    process = sweep.start("--concurrent", 1)
    sweep.wait_for_epochs(process)
    before = newest()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 143, errors
    assert "or within it after 8 seconds" in output + errors
    assert not (sweep.workspace / "studies" / "s" / "leave").exists()
    left = newest()
    assert left.keys() == before.keys()
    assert all(left[trial] > before[trial] for trial in left)
    again = sweep.start("--concurrent", 1)
    until = time.monotonic() + 240
    while newest().keys() != left.keys() or newest() == left:
        assert again.poll() is None, again.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    assert all(newest()[trial] >= left[trial] for trial in left), "not from the beginning"
    sweep.kill_all(again)
