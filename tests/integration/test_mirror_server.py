"""A study's mirror and a real `mlflow server` that comes late, dies, and comes back."""

import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gkm.config import TrialConfig
from gkm.study.mirror import agenda
from gkm.study.mirror import mlflow_mirror as mirror_module
from gkm.study.mirror.mirror import MlflowMirror, StudyFacts, find_foreign, read_study
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import TrialStatus
from gkm.tracking import Tracking
from tests.mlflow_server import Server

pytestmark = pytest.mark.slow

FACTS = StudyFacts("quick", "r1", "/records/quick.journal", data="/data", data_fingerprint="0123456789ab", seeds=2)
EPOCHS = 6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


def row(number: int, epochs: int, status: TrialStatus = "running", began: float = 1.76e9) -> TrialRow:
    group, seed = number - number % 2, number % 2
    rate = 1e-4 * (group + 1)
    config = TrialConfig().with_values({"optim.learning_rate": rate, "training.seed": seed})
    history = tuple(
        {"epoch": float(e), "val/psnr": 20.0 + e, "best/val/psnr": 20.0 + e, "seconds": float(e), "time": began + e / 8}
        for e in range(1, epochs + 1)
    )
    return TrialRow(number, status, config, {"optim.learning_rate": rate}, history, seed=seed, group=group)


def check_whole(tracking: Tracking, mirror: MlflowMirror, trials: int) -> None:
    """One run for each number, and each step of each metric once."""
    runs = tracking.find({"gkm.record": "r1"})
    kinds = [run.data.tags["gkm.kind"] for run in runs]
    assert (kinds.count("study"), kinds.count("setting"), kinds.count("trial")) == (1, (trials + 1) // 2, trials)
    assert sorted(mirror.run_ids()) == list(range(trials))
    for run_id in mirror.run_ids().values():
        for metric in ("val/psnr", "best/val/psnr", "seconds"):
            points = tracking.client.get_metric_history(run_id, metric)
            assert [point.step for point in points] == list(range(1, EPOCHS + 1))
    back = read_study(tracking, "quick")
    assert back is not None
    assert [trial.history for trial in back.trials] == [row(number, EPOCHS).history for number in range(trials)]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_server_that_comes_late_and_is_killed_in_between_has_all_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training goes on meanwhile; that whoever gives rows never waits, however long, is tested beside the mirror."""
    monkeypatch.setattr(agenda, "GATHER_SECONDS", 0.1)
    monkeypatch.setattr(mirror_module, "_LONGEST_PAUSE_SECONDS", 2.0)
    said: list[str] = []
    tracking = Tracking(server.uri, None)
    mirror = MlflowMirror(tracking, FACTS, on_trouble=said.append)
    try:
        took: list[float] = []

        def train(numbers: range) -> None:
            for epochs in range(EPOCHS + 1):
                for number in numbers:
                    began = time.perf_counter()
                    mirror.update(row(number, epochs))
                    took.append(time.perf_counter() - began)
                time.sleep(0.3)
            for number in numbers:
                mirror.update(row(number, EPOCHS, "finished"))

        train(range(2))
        deadline = time.monotonic() + 60
        while len(said) < 1 and time.monotonic() < deadline:
            assert not mirror.flush(0.5)
        assert mirror.trouble is not None
        assert "connection refused" in mirror.trouble
        server.start()
        assert mirror.flush(60)
        assert mirror.trouble is None
        training = threading.Thread(target=train, args=(range(2, 8),))
        training.start()
        time.sleep(0.8)  # in the middle of whatever it writes
        server.kill()
        time.sleep(2.0)
        server.start(wait=False)
        training.join()
        finished = tuple(row(number, EPOCHS, "finished") for number in range(8))
        assert mirror.finish(StudyResults("quick", finished, record_id="r1"), 120)
        check_whole(tracking, mirror, 8)
        assert statistics.median(took) < 0.1
        assert len(said) % 2 == 0
        assert all("does not answer since" in text for text in said[::2])
        assert all("answers again" in text for text in said[1::2])
    finally:
        mirror.close()


def test_the_next_driver_makes_good_what_the_last_one_could_not(server: Server, tmp_path: Path) -> None:
    """A study that ends while the server is away is brought in line by its next start, artifacts and all."""
    page = tmp_path / "report.html"
    page.write_text("a page")
    tracking = Tracking(server.uri, None)
    server.start()
    first = MlflowMirror(tracking, FACTS)
    first.update(row(0, 2))
    assert first.flush(60)
    server.kill()
    finished = tuple(row(number, EPOCHS, "finished") for number in range(3))
    for one in finished:
        first.update(one)
    began = time.monotonic()
    assert not first.finish(StudyResults("quick", finished), 2.0)
    first.close()
    assert time.monotonic() - began < 20

    server.start()
    second = MlflowMirror(tracking, FACTS)
    try:
        for one in finished:
            second.update(one)
        second.attach(page)
        assert second.finish(StudyResults("quick", finished), 120)
        assert second.study_run_id == first.study_run_id
        check_whole(tracking, second, 3)
        assert tracking.download(second.study_run_id or "", "report.html", tmp_path / "back").read_text() == "a page"
        link = tracking.ui_link(study="quick")
        assert link.startswith(
            f"{server.uri}/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning"
        )
        pictures = tracking.picture_steps(second.run_ids()[0], "validation")
        assert pictures == set()
    finally:
        second.close()


def test_two_users_of_one_server_with_the_same_name_stay_apart(server: Server) -> None:
    server.start()
    tracking = Tracking(server.uri, None)
    ours, theirs = (replace(FACTS, record_id=record, record=f"/{record}") for record in ("r1", "r2"))
    mirrors = []
    said: list[str] = []
    try:
        for facts in (theirs, ours):
            mirrors.append(MlflowMirror(tracking, facts, on_trouble=said.append))
            mirrors[-1].update(row(0, 2))
            assert mirrors[-1].flush(60)
        mirrors[0].update(row(0, 3))
        assert mirrors[0].flush(60)
        foreign = find_foreign(tracking, "quick", "r1")
        assert foreign is not None
        assert (foreign.record, foreign.record_id) == ("/r2", "r2")
        for mirror, epochs in zip(mirrors, (3, 2), strict=True):
            history = tracking.client.get_metric_history(mirror.run_ids()[0], "val/psnr")
            assert len(history) == epochs
        assert len({mirror.study_run_id for mirror in mirrors}) == 2
        assert mirrors[0].conflict is None
        assert said == [mirrors[1].conflict]
    finally:
        for mirror in mirrors:
            mirror.close()


def test_a_server_whose_database_was_deleted_gets_all_again(server: Server) -> None:
    server.start()
    tracking = Tracking(server.uri, None)
    mirror = MlflowMirror(tracking, FACTS)
    try:
        mirror.update(row(0, 3))
        mirror.update(row(1, EPOCHS, "finished"))
        assert mirror.flush(60)
        before = mirror.run_ids()
        server.kill()
        for file in server.folder.glob("mlflow.db*"):
            file.unlink()
        server.start()
        mirror.update(row(0, EPOCHS, "finished"))
        finished = tuple(row(number, EPOCHS, "finished") for number in range(2))
        assert mirror.finish(StudyResults("quick", finished), 120)
        assert not set(before.values()) & set(mirror.run_ids().values())
        check_whole(tracking, mirror, 2)
    finally:
        mirror.close()
