"""Runs in a real sqlite store: found again rather than made twice, whatever restarts or other processes do."""

import errno
import json
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.tracking import (
    DataInput,
    Point,
    Status,
    Tracking,
    TrackingAwayError,
    TrialRun,
    as_away,
    default_tracking_uri,
    environment_tags,
    open_tracking,
    redacted,
)

CONFIG = TrialConfig()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name a URI has to survive; the store in it is made once."""
    return tmp_path_factory.mktemp("räume und 100% #1")


@pytest.fixture
def tracking(workspace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Tracking:
    """An experiment of the test's own in the module's store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    opened = open_tracking(workspace)
    return Tracking(opened.uri, opened.artifacts, experiment=request.node.name)


def start(tracking: Tracking, study: str | None = None, trial_id: str = "a1", **changes: object) -> TrialRun:
    config = CONFIG.with_values(changes) if changes else CONFIG
    return tracking.start_trial(trial_id, study_run_id=study, number=1, config=config, searched={}, tags={})


def test_a_study_and_its_trials_nest_and_read_back(tracking: Tracking) -> None:
    study = tracking.start_study(
        "it's a study", parameters={"trials": 6, "space": "quick.py"}, tags={"gkm.data": "abc"}
    )
    searched = {"model.width": np.int64(8), "optim.learning_rate": np.float64(1e-4), "loss.schedule": "l2"}
    config = CONFIG.with_values({"model.width": 8, "loss.schedule": "l2", "training.seed": 7})
    for number in (10, 2):
        run = tracking.start_trial(
            f"t{number}", study_run_id=study.run_id, number=number, config=config, searched=searched, tags={"x": "y"}
        )
        run.log_epoch(1, {"val/psnr": 20.0, "train/loss": 0.5})
        run.log_epoch(3, {"val/psnr": 21.0, "train/loss": 0.25})
        run.finish("stopped", "behind the others")
    tracking.log_metrics(run.run_id, {"test/psnr": 22.0})

    assert tracking.find_study("it's a study") == study.run_id
    assert tracking.find_trial(study.run_id, "t2") == run.run_id
    assert tracking.find_trial(study.run_id, "t3") is None
    assert tracking.study_names() == ["it's a study"]
    records = tracking.trials(study.run_id)
    assert [(record.number, record.trial_id) for record in records] == [(2, "t2"), (10, "t10")]
    record = records[0]
    assert (record.status, record.reason) == ("stopped", "behind the others")
    assert record.config == config
    assert record.searched == {"model.width": 8, "optim.learning_rate": 1e-4, "loss.schedule": "l2"}
    assert record.history == [
        {"epoch": 1.0, "val/psnr": 20.0, "train/loss": 0.5},
        {"epoch": 3.0, "val/psnr": 21.0, "train/loss": 0.25},
    ]
    assert record.tags["mlflow.parentRunId"] == study.run_id
    assert record.tags["gkm.fingerprint"] == config.fingerprint()
    assert record.tags["gkm.seed"] == "7"
    assert record.params["optim.clip_norm"] == "null"
    front = {key: value for key, value in record.tags.items() if "." not in key}
    assert front == {"kind": "trial", "status": "stopped", "x": "y"}


def test_a_restarted_study_keeps_its_run_and_notes_what_changed(tracking: Tracking) -> None:
    first = tracking.start_study("s", parameters={"trials": 6, "rate": 0.10}, tags={"gkm.git_commit": "one"})
    tracking.finish(first.run_id, "failed", "the disk is full")
    again = tracking.start_study(
        "s", parameters={"trials": 12, "rate": 0.1, "new": None}, tags={"gkm.git_commit": "two"}
    )
    assert (first.adopted, again.adopted) == (False, True)
    assert again.run_id == first.run_id
    tags = tracking.tags(first.run_id)
    assert tags["gkm.latest.trials"] == "12"
    assert "gkm.latest.rate" not in tags
    assert (tags["gkm.status"], tags["gkm.git_commit"]) == ("running", "two")
    assert "gkm.reason" not in tags


def test_a_restarted_trial_goes_on_in_its_run_without_doubled_epochs(tracking: Tracking) -> None:
    study = tracking.start_study("s", parameters={}, tags={}).run_id
    run = start(tracking, study)
    for epoch in (1, 2, 3):
        run.log_epoch(epoch, {"val/psnr": 20.0 + epoch})
    run.finish("failed", "killed")

    again = start(tracking, study)
    assert again.run_id == run.run_id
    for epoch in (2, 3, 4):
        again.log_epoch(epoch, {"val/psnr": 20.0 + epoch, "val/ssim": 0.5})
    (record,) = tracking.trials(study)
    assert record.history == [
        {"epoch": 1.0, "val/psnr": 21.0},
        {"epoch": 2.0, "val/psnr": 22.0, "val/ssim": 0.5},
        {"epoch": 3.0, "val/psnr": 23.0, "val/ssim": 0.5},
        {"epoch": 4.0, "val/psnr": 24.0, "val/ssim": 0.5},
    ]
    assert len(tracking.client.get_metric_history(run.run_id, "val/psnr")) == 4
    assert (record.status, record.reason) == ("running", None)


def test_the_same_trial_of_two_studies_has_two_runs(tracking: Tracking) -> None:
    studies = [tracking.start_study(name, parameters={}, tags={}).run_id for name in ("s", "S")]
    assert studies[0] != studies[1]
    assert start(tracking, studies[0]).run_id != start(tracking, studies[1]).run_id


def test_a_trial_of_other_settings_is_refused(tracking: Tracking) -> None:
    start(tracking)
    with pytest.raises(InputError, match=r"trial a1: was started with model\.width = 32, not 16"):
        start(tracking, **{"model.width": 16})


def test_a_deleted_study_is_started_anew(tracking: Tracking) -> None:
    first = tracking.start_study("s", parameters={}, tags={})
    tracking.client.delete_run(first.run_id)
    assert tracking.find_study("s") is None
    assert not tracking.start_study("s", parameters={}, tags={}).adopted


def test_artifacts_lie_in_the_workspace_and_are_replaced_whole(
    tracking: Tracking, workspace: Path, tmp_path: Path
) -> None:
    run = start(tracking)
    source = tmp_path / "weights ä.bin"
    for content in (b"first", b"second"):
        source.write_bytes(content)
        run.log_file(source, "weights")
    run.log_image("pictures/validation.png", np.full((4, 5, 3), 200, np.uint8))
    tracking.log_text(run.run_id, "notes.txt", "Größe")

    assert (workspace / "artifacts" / run.run_id / "artifacts" / "weights" / "weights ä.bin").read_bytes() == b"second"
    folder = tracking.download(run.run_id, "weights", tmp_path / "back")
    assert [path.name for path in folder.iterdir()] == ["weights ä.bin"]
    assert tracking.download(run.run_id, "notes.txt", tmp_path / "back").read_text() == "Größe"
    assert tracking.download(run.run_id, "pictures/validation.png", tmp_path / "back").stat().st_size > 50
    with pytest.raises(InputError, match=f"run {run.run_id}: keeps no weights/none"):
        tracking.download(run.run_id, "weights/none", tmp_path / "back")


def test_tracking_travels_and_hides_passwords(tracking: Tracking) -> None:
    assert pickle.loads(pickle.dumps(tracking)) == tracking
    secret = Tracking("https://me:hunter2@host/mlflow?access_token=t0p", None)
    assert secret.address == "https://***@host/mlflow?access_token=***"
    assert "hunter2" not in repr(secret) + secret.ui_hint
    run = start(tracking)
    run.finish("failed", "cannot reach postgresql://me:hunter2@host/db")
    assert tracking.tags(run.run_id)["gkm.reason"] == "cannot reach postgresql://***@host/db"
    assert redacted("s3://bucket/a@b and mail me@host") == "s3://bucket/a@b and mail me@host"
    assert redacted("http://host:5000/models/x@champion") == "http://host:5000/models/x@champion"


@pytest.mark.parametrize("password", ["hunter2", "hunt/er2", "/hunter2=", "hunt@er2", "hunt:er2", "hunt%2Fer2"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "https"])
def test_passwords_of_any_letters_are_hidden(scheme: str, password: str) -> None:
    told = redacted(f"cannot reach {scheme}://me:{password}@host:5432/db, or http://host:5000/#/runs")
    assert told == f"cannot reach {scheme}://***@host:5432/db, or http://host:5000/#/runs"


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert open_tracking(Path("runs"), "sqlite:///other.db") == Tracking(
        f"sqlite:///{tmp_path}/other.db", f"{tmp_path}/runs/artifacts"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert open_tracking(Path("runs")) == Tracking("http://host:5000", None)
    assert not open_tracking(Path("runs")).is_local
    assert open_tracking(Path("runs"), "sqlite:///other.db").is_local


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://me:hunter2@127.0.0.1:9", r"http://\*\*\*@127.0.0.1:9: no MLflow server answers"),
        ("./mlruns", "is no tracking address"),
        ("sqlite:////proc/nowhere/mlflow.db", "cannot be written"),
        ("sqlite:///notes.txt", "is no sqlite database"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_quick_sentence(
    uri: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("these are my notes, not runs")
    with pytest.raises(InputError, match=reason) as caught:
        open_tracking(tmp_path, uri).prepare()
    assert "hunter2" not in str(caught.value)
    assert Path("notes.txt").read_text() == "these are my notes, not runs"


def test_points_logged_again_with_their_time_are_stored_once(tracking: Tracking) -> None:
    run = start(tracking)
    for metrics in ({"val/psnr": 20.5, "val/loss": float("nan")}, {"val/psnr": 20.5, "val/loss": float("nan")}):
        tracking.log_metrics(run.run_id, metrics, 3, timestamp_seconds=1.76e9 + 0.123)
    run.log_epoch(4, {"val/psnr": 21.0}, timestamp_seconds=1.76e9 + 5)
    (first, second) = tracking.client.get_metric_history(run.run_id, "val/psnr")
    assert (first.step, first.timestamp, second.step) == (3, 1760000000123, 4)
    assert len(tracking.client.get_metric_history(run.run_id, "val/loss")) == 1
    times = [entry["time"] for entry in tracking.history(run.run_id, ["val/psnr"], times=True)]
    assert times == [1760000000.123, 1760000005.0]


def test_a_batch_may_be_larger_than_mlflow_allows(tracking: Tracking) -> None:
    run = start(tracking)
    points = [Point(name, step / 2, step, 1000 + step) for step in range(900) for name in ("a", "b")]
    parameters = {f"p{number}": str(number) for number in range(250)}
    tags = {f"t{number}": str(number) for number in range(150)}
    tracking.log_batch(run.run_id, points=points, parameters=parameters, tags=tags | {"long": "x" * 9000})
    stored = tracking.client.get_run(run.run_id).data
    assert len(tracking.client.get_metric_history(run.run_id, "b")) == 900
    assert parameters.items() <= stored.params.items()
    assert tags.items() <= stored.tags.items()


@pytest.mark.parametrize(
    ("status", "shown"),
    [("interrupted", "KILLED"), ("stopped", "FINISHED"), ("refused", "FAILED"), ("failed", "FAILED")],
)
def test_how_a_run_ended_in_the_words_of_mlflow(tracking: Tracking, status: Status, shown: str) -> None:
    run = start(tracking)
    run.finish(status)
    record = tracking.trial(run.run_id)
    assert (record.status, record.status_in_mlflow) == (status, shown)


def test_pictures_have_a_key_and_steps_and_are_kept_once(tracking: Tracking, tmp_path: Path) -> None:
    file = tmp_path / "p.png"
    Image.new("RGB", (5, 4)).save(file)
    for _ in range(2):
        run = start(tracking)
        for epoch in (1, 20):
            run.log_picture("validation", epoch, file.read_bytes(), timestamp_seconds=1.76e9 + epoch)
    assert tracking.picture_steps(run.run_id, "validation") == {1, 20}
    assert tracking.picture_steps(run.run_id, "other") == set()
    assert len(tracking.client.list_artifacts(run.run_id, "images")) == 4
    assert tracking.tags(run.run_id)["mlflow.loggedImages"] == "True"


def test_a_data_set_is_an_input_without_its_password(tracking: Tracking) -> None:
    run = start(tracking)
    for _ in range(2):
        tracking.log_inputs(run.run_id, [DataInput("d train", "0123", "s3://me:hunter2@bucket/d", "training")])
    (logged,) = tracking.client.get_run(run.run_id).inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest, logged.dataset.source_type) == ("d train", "0123", "s3")
    assert "hunter2" not in logged.dataset.source
    assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "training")]


def test_links_lead_to_a_study_or_a_run(tracking: Tracking) -> None:
    experiment = tracking.experiment_id
    link = tracking.ui_link(study="it's")
    assert link.startswith("mlflow ui --backend-store-uri ")
    assert link.endswith(
        f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning"
        "&searchFilter=tags.%60gkm.study%60%20%3D%20%22it%27s%22"
    )
    assert tracking.ui_link("abc").endswith(f"/#/experiments/{experiment}/runs/abc")
    assert tracking.find_study_run("") is None
    assert tracking.find_study_run("0" * 32) is None
    run = start(tracking)
    assert tracking.find_study_run(run.run_id) == run.run_id


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("(sqlite3.OperationalError) database or disk is full", "its disk is full"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "its database cannot be written"),
        ("(sqlite3.OperationalError) disk I/O error", "its disk fails"),
        ("API request failed with exception: [Errno 111] Connection refused", "connection refused"),
        ("API request to http://h failed with timeout exception", "no answer in time"),
    ],
)
def test_a_store_that_is_away_is_told_from_a_mistake(
    tracking: Tracking, said: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    from gkm.tracking import store

    class Broken:
        def get_run(self, run_id: str) -> None:
            raise MlflowException(said)

    monkeypatch.setattr(store, "client", lambda uri: Broken())
    monkeypatch.setattr(store, "LOCKED_SECONDS", 0.0)
    with pytest.raises(TrackingAwayError, match=why) as caught:
        tracking.tags("x")
    assert caught.value.why == why
    said = "metric names cannot hold @"
    with pytest.raises(MlflowException, match="cannot hold"):
        tracking.tags("x")


def test_a_full_disk_under_the_artifacts_is_being_away() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/runs/artifacts/x")
    away = as_away("sqlite:///x", full)
    assert away is not None
    assert away.why == "its disk is full"
    assert as_away("sqlite:///x", FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert as_away("sqlite:///x", ZeroDivisionError("5")) is None


def test_a_server_that_never_answers_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With MLflow's own settings one call takes up to sixteen minutes."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("gkm.tracking.store.check", lambda uri: None)
        began = time.monotonic()
        with pytest.raises(TrackingAwayError, match="no answer in time"):
            Tracking(uri, None).tags("x")
        assert time.monotonic() - began < 30


def test_environment_tags_describe_code_and_hardware_but_no_host() -> None:
    tags = environment_tags()
    assert set(tags) >= {"gkm.python", "gkm.cores", "gkm.device", "gkm.version.torch", "gkm.version.mlflow"}
    assert all(isinstance(value, str) and value for value in tags.values())
    import getpass
    import socket

    assert not {socket.gethostname(), getpass.getuser()} & set(tags.values())


def test_a_copy_without_its_repository_can_be_told_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no git, as in a slim container
    monkeypatch.delenv("GKM_GIT_COMMIT", raising=False)
    assert "gkm.git_commit" not in environment_tags()
    monkeypatch.setenv("GKM_GIT_COMMIT", "c0ffee")
    assert environment_tags()["gkm.git_commit"] == "c0ffee"


def test_importing_tracking_imports_no_mlflow() -> None:
    code = "import sys, gkm.tracking; sys.exit(bool({'mlflow', 'torch', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WRITER = """
import json, sys
from pathlib import Path
from gkm.config import TrialConfig
from gkm.tracking import open_tracking
workspace, number = Path(sys.argv[1]), int(sys.argv[2])
import mlflow.tracking.client
print("ready", flush=True)
sys.stdin.read(1)
tracking = open_tracking(workspace)
study = tracking.start_study("s", parameters={"trials": 3}, tags={})
def start(name, number):
    return tracking.start_trial(
        name, study_run_id=study.run_id, number=number, config=TrialConfig(), searched={}, tags={}
    )
shared = start("shared", 0)
own = start(f"t{number}", number)
for epoch in range(40):
    own.log_epoch(epoch, {f"val/{name}": float(epoch) for name in "abcdef"})
own.finish("finished")
print(json.dumps([study.run_id, shared.run_id]))
"""


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_new_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, experiment, study and a common trial are made once, and every epoch of every trial arrives."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    numbers = (1, 2, 3)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in numbers
    ]  # fmt: skip
    for writer in writers:  # imported and waiting
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("x")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=120) for writer in writers]
    assert [(writer.returncode, errors) for writer, (_, errors) in zip(writers, answers, strict=True)] == [(0, "")] * 3
    assert len({output for output, _ in answers}) == 1
    tracking = open_tracking(tmp_path)
    study, shared = json.loads(answers[0][0])
    records = tracking.trials(study)
    assert [record.number for record in records] == [0, *numbers]
    assert records[0].run_id == shared
    assert all([entry["epoch"] for entry in record.history] == list(range(40)) for record in records[1:])


def test_two_processes_may_name_a_data_set_at_the_same_moment(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find none and add it; the later one hears that it is there, and tries again."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    log_inputs, tries = SqlAlchemyStore.log_inputs, []

    def overtaken(self: SqlAlchemyStore, run_id: str, *arguments: object, **keywords: object) -> None:
        tries.append(run_id)
        if len(tries) == 1:
            log_inputs(self, first.info.run_id, *arguments, **keywords)
            said = "UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest"
            raise MlflowException(f"(sqlite3.IntegrityError) {said}")
        log_inputs(self, run_id, *arguments, **keywords)

    first, second = (tracking.client.create_run(tracking.experiment_id) for _ in range(2))
    monkeypatch.setattr(SqlAlchemyStore, "log_inputs", overtaken)
    tracking.log_inputs(second.info.run_id, [DataInput("sample", "0123", "/data/sample", "test")])
    assert tries == [second.info.run_id] * 2
    for run in (first, second):
        (used,) = tracking.client.get_run(run.info.run_id).inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("sample", "0123")
