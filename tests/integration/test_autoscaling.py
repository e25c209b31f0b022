"""Sweeps on a cluster of zero workers: Ray's own autoscaler adds nodes, one of them is lost, and idle ones go."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gkm.study.record.record import RecordPlace, load_study
from gkm.study.record.results import StudyResults
from gkm.training.store import newest_checkpoint, read_history
from tests.autoscaled_ray import AutoscaledRay

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.ray, pytest.mark.timeout(7200)]

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, TRIALS, MOST_NODES = 10, 4, 2
SPACE = f"""
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.search import Random
from gkm.study.design.space import Choice, Float, SearchSpace
from gkm.study.design.stopping import NoStopping

SPACE = SearchSpace(
    {{"optim.learning_rate": Float(1e-4, 3e-4, log=True), "model.num_kernels": Choice(1, 3, 5)}},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
        data=DataConfig(crop_pixels=32, batch_size=2, crops_per_photo=12),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs={EPOCHS}),
    ),
    sampler=Random(), stopping=NoStopping(), trials={TRIALS}, confirm=0,
)
"""
"""With higher rates rounding alone, which a group does in another order, moves so small a network by 0.1 dB."""
MOST_SECONDS = 1500


class Sweeps:
    """`gkm sweep` of one space on one data set."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        (folder / "space.py").write_text(SPACE)

    def start(self, name: str, *arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
        for variable in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "GKM_RECORD", "GKM_WORKSPACE"):
            variables.pop(variable, None)
        command = [sys.executable, ROOT / "pipelines" / "sweep.py", "--space", self.folder / "space.py", "--no-report"]
        command += ["--data", self.data, "--study", name, "--workspace", self.folder, *arguments]
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen([str(part) for part in command], env=variables, stdout=log, stderr=log)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def results(self, name: str) -> StudyResults:
        return load_study(RecordPlace(str(self.folder / "studies")), name)

    def places(self, name: str) -> list[Path]:
        return sorted((self.folder / "studies" / name / "trials").glob("[0-9]*"))


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Sweeps:
    """One of them run: undisturbed, on a Ray of its own, one trial at a time."""
    made = Sweeps(tmp_path_factory.mktemp("sweeps"), tiny_data)
    assert made.start("undisturbed", "--concurrent", 1).wait(MOST_SECONDS) == 0, made.said("undisturbed")
    return made


@pytest.fixture(scope="module", params=[1, 2], ids=["v1", "v2"])
def cluster(request: pytest.FixtureRequest) -> Iterator[AutoscaledRay]:
    folder = Path(tempfile.mkdtemp(prefix="scaled-", dir="/tmp"))
    made = AutoscaledRay(folder, request.param, most=MOST_NODES)
    try:
        made.wait_until_ready()
        yield made
        print(f"\nautoscaler, version {request.param}\n{made.timeline()}", *made.events(), sep="\n")
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_sweep_adds_nodes_survives_the_loss_of_one_and_lets_them_go(cluster: AutoscaledRay, sweeps: Sweeps) -> None:
    name = f"scaled-{cluster.port}"
    assert not cluster.raylets()
    cluster.note("a sweep begins")
    options = ("--ray", cluster.address, "--cpus", cluster.cpus)
    process = sweeps.start(name, *options, **cluster.environment)
    try:
        cluster.wait_for(MOST_NODES, MOST_SECONDS)
        killed_at, pid = _kill_a_node_in_the_midst(cluster, sweeps, name, process)
        cluster.note(f"kill -9 of the raylet of one, {pid}")
        assert process.wait(MOST_SECONDS) == 0, sweeps.said(name)
    finally:
        process.kill()
        process.wait()
    cluster.note("the sweep has ended")
    cluster.wait_for(0, 180)
    cluster.note("all nodes are gone")

    assert max(count for _, count in cluster.counts) == MOST_NODES
    said = sweeps.said(name)
    (lost,) = set(re.findall(r"trial (\d+): its process died .*node.*; it goes on from its last checkpoint", said))
    place = next(place for place in sweeps.places(name) if int(place.name) == int(lost))
    times = [epoch["time"] for epoch in read_history(str(place))]
    assert times[0] < killed_at < times[-1], "it began again"
    assert _figures(sweeps.results(name)) == _figures(sweeps.results("undisturbed"))


def test_groups_of_workers_start_on_a_cluster_without_any(cluster: AutoscaledRay, sweeps: Sweeps) -> None:
    name = f"groups-{cluster.port}"
    cluster.wait_for(0, 180)
    cluster.note("a sweep of groups of two workers begins")
    options = ("--ray", cluster.address, "--workers", 2, "--trials", 2)
    process = sweeps.start(name, *options, **cluster.environment)
    try:
        assert process.wait(MOST_SECONDS) == 0, sweeps.said(name)
    finally:
        process.kill()
        process.wait()
    cluster.note("it has ended")
    results, alone = sweeps.results(name), _figures(sweeps.results("undisturbed"))
    assert results.summary() == "2 finished"
    for number, found in _figures(results).items():
        assert found == {epoch: pytest.approx(psnr, abs=0.01) for epoch, psnr in alone[number].items()}
    cluster.wait_for(0, 180)
    cluster.note("all nodes are gone")


def _kill_a_node_in_the_midst(
    cluster: AutoscaledRay, sweeps: Sweeps, name: str, process: "subprocess.Popen[bytes]"
) -> tuple[float, int]:
    """kill -9 of a raylet whose trial has a checkpoint and half of its epochs ahead, as all do; when, and its pid.

    Its processes notice within some seconds, and train on until then.
    """
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until and process.poll() is None:
        epochs = [(newest_checkpoint(str(place)) or (0, 0))[0] for place in sweeps.places(name)]
        running = [epoch for epoch in epochs if epoch < EPOCHS]
        if running and min(running) >= 1 and max(running) <= EPOCHS // 2:
            for raylet in cluster.raylets():
                with suppress(psutil.Error):
                    titles = [" ".join(child.cmdline()) for child in raylet.children()]
                    if any(title.startswith("ray::ImplicitFunc") for title in titles):
                        raylet.kill()
                        return time.time(), raylet.pid
        time.sleep(0.02)
    pytest.fail(f"no trial was seen in the midst of its training:\n{cluster.timeline()}\n{sweeps.said(name)}")


def _figures(results: StudyResults) -> dict[int, dict[int, float]]:
    """Trial -> epoch -> PSNR."""
    return {row.number: {int(epoch["epoch"]): epoch["val/psnr"] for epoch in row.history} for row in results.trials}
