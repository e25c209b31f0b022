"""`make stack` for real: the whole road as jobs on it, each door with a wrong key, no secret in anything it leaves."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)]

SPACE = """
from gkm.config import DataConfig, LossConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.study.design.space import Float, SearchSpace

SPACE = SearchSpace(
    {"optim.learning_rate": Float(1e-4, 1e-2, log=True)},
    base=TrialConfig(
        model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
        data=DataConfig(crop_pixels=32, batch_size=4, crops_per_photo=2),
        loss=LossConfig(schedule="l2"),
        training=TrainingConfig(epochs=2),
    ),
    trials=2, first_rung_epochs=1, reduction_factor=2, confirm=0,
)
"""
DATA = "s3://gkm/sample"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    started = Stack()
    try:
        started.start()
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="module")
def road(stack: Stack) -> dict[str, str]:
    """The whole road as jobs, and what each of them said."""
    space = stack.folder / "workspace" / "space.py"
    space.write_text(SPACE)
    steps = {
        "prepare": ("--source", "sample", "--out", DATA),
        "sweep": ("--space", space, "--data", DATA, "--study", "road", "--no-report"),
        "evaluate": ("--model", "challenger", "--data", DATA),
        "promote": ("--data", DATA, "--override", "a test of the road"),
        "report": ("road", "--data", DATA, "--out", stack.folder / "workspace" / "report.html"),
    }
    said = {}
    for step, words in steps.items():
        for _ in range(3):  # on a busy machine MLflow may be behind at the end; the same command brings it in line
            job = stack.submit(step, *words)
            said[step], _ = job.communicate(timeout=600)
            if "MLflow is behind" not in said[step]:
                break
        assert job.returncode == 0, said[step]
    return said


def test_the_whole_road_ends_in_a_champion_and_a_page(stack: Stack, road: dict[str, str]) -> None:
    environment = stack.environment
    shown = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "registry", "history"], capture_output=True, text=True, check=False,
        env={**os.environ, **environment, "PYTHONPATH": str(Path.cwd())}, timeout=300,
    )  # fmt: skip
    assert "a test of the road" in shown.stdout, shown
    assert "<html" in (stack.folder / "workspace" / "report.html").read_text()[:500]
    assert [state["status"] for state in jobs(stack)].count("SUCCEEDED") >= len(road)
    found = s3(stack, "gkm").list_objects_v2(Bucket="gkm", Prefix="gkm/studies/road/")
    assert found["KeyCount"] > 0


def test_wrong_tokens_passwords_and_keys_are_refused_at_each_door(stack: Stack) -> None:
    import psycopg
    from botocore.exceptions import ClientError

    environment = stack.environment
    ray, mlflow = environment["RAY_ADDRESS"], environment["MLFLOW_TRACKING_URI"]
    for headers in ({}, {"Authorization": "Bearer " + "0" * 48}):
        assert answer(f"{ray}/api/jobs/", headers) in (401, 403)
    denied = stack.submit("prepare", "--help", RAY_AUTH_TOKEN_PATH=os.devnull, RAY_AUTH_TOKEN="0" * 48)
    assert "Invalid authentication token" in denied.communicate(timeout=300)[0]
    assert denied.returncode != 0

    experiments = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
    right = basic("gkm", environment["MLFLOW_TRACKING_PASSWORD"])
    assert answer(experiments, right) == 200
    for headers in ({}, basic("gkm", "0" * 48), basic("admin", "password1234"), basic("admin", "")):
        assert answer(experiments, headers) == 401
    assert answer(experiments, {**right, "Host": "attacker.example.org"}) == 403
    assert answer(f"{mlflow}/api/2.0/mlflow/users/get?username=admin", right) == 403

    for identity, bucket, key in (("gkm", "gkm", "0" * 48), ("gkm", "mlflow", None), ("nobody", "gkm", "0" * 48)):
        with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|AccessDenied|InvalidAccessKeyId"):
            s3(stack, identity, key).list_objects_v2(Bucket=bucket)
    ports = json.loads((stack.folder / "state.json").read_text())["ports"]
    assert answer(environment["AWS_ENDPOINT_URL"] + "/gkm", {}) == 403
    assert answer(f"http://127.0.0.1:{ports['filer']}/buckets/gkm/", {}) == 401

    password = (stack.folder / "keys" / "pgpass-gkm").read_text().strip().rpartition(":")[2]
    for database, given in (("studies", "0" * 48), ("studies", ""), ("mlflow", password)):
        with pytest.raises(psycopg.OperationalError, match=r"password|permission denied"):
            psycopg.connect(
                host="127.0.0.1", port=ports["postgres"], user="gkm", password=given or None, dbname=database,
                passfile=os.devnull,
            )  # fmt: skip


def test_every_door_is_open_to_this_machine_only(stack: Stack) -> None:
    """Nothing of the stack listens on an address that others can reach."""
    mine = {process.pid for process in processes(stack)}
    open_to_others = {
        (psutil.Process(each.pid).name(), each.laddr)
        for each in psutil.net_connections("inet")
        if each.pid in mine
        and each.status == psutil.CONN_LISTEN
        and each.laddr.ip.removeprefix("::ffff:") not in ("127.0.0.1", "::1")
    }
    assert open_to_others == set()


def test_no_secret_is_found_in_anything_but_the_keys(stack: Stack, road: dict[str, str], tmp_path: Path) -> None:
    secrets = json.loads((stack.folder / "keys" / "secrets.json").read_text())
    assert len(secrets) >= 10
    sought = {name: re.compile(re.escape(value).encode()) for name, value in secrets.items()}
    backup = tmp_path / "backup"
    written = stack.call("backup", backup)
    assert written.returncode == 0, written.stderr
    plain = subprocess.run(
        [*restore_program(), "--file=-", str(backup / "mlflow.dump")], capture_output=True, check=True
    )
    assert b"COPY" in plain.stdout
    places: dict[str, bytes] = {
        "dump of MLflow's database": plain.stdout,
        "what jobs said": "".join(road.values()).encode(),
    }
    state = json.loads((stack.folder / "state.json").read_text())
    own = [stack.folder / "keys", stack.folder / "s3" / "s3.json", stack.folder / "s3" / "security.toml"]
    for root in (stack.folder, Path(state["ray_folder"]), backup / "s3", backup / "studies.dump", stack.log):
        for path in files(root):
            if path.is_file() and not any(path.is_relative_to(place) for place in own):
                with suppress(FileNotFoundError):  # servers that run delete files, too
                    places[str(path)] = path.read_bytes()
    for process in psutil.process_iter():
        try:
            places[f"command line of {process.pid}"] = " ".join(process.cmdline()).encode()
        except psutil.Error:
            continue
    for name, held in (("Ray's jobs", jobs(stack)), ("state", state)):
        places[name] = json.dumps(held).encode()
    assert any("session_" in place for place in places)
    assert any("postgres/data" in place for place in places)
    leaks = [(place, name) for place, text in places.items() for name, secret in sought.items() if secret.search(text)]
    assert leaks == []


def test_a_second_start_is_told_and_a_killed_one_is_cleared_away(stack: Stack) -> None:
    second = stack.call("start")
    assert (second.returncode, "a stack runs there already" in second.stderr) == (2, True), second
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = Stack()
        try:
            port = taken.getsockname()[1]
            refused = other.call("start", "--mlflow-port", port)
            assert refused.returncode == 2
            assert f"port {port} of 127.0.0.1 is taken" in " ".join(refused.stderr.split())
        finally:
            other.remove()
    assert stack.stop(signal.SIGKILL) == -signal.SIGKILL
    assert processes(stack)
    assert stack.call("status").returncode == 1
    said = stack.start()
    assert re.search(r"Ended \d+ processes of a stack that was killed", said)
    assert answer(f"{stack.environment['MLFLOW_TRACKING_URI']}/health", {}) == 200
    assert stack.stop(signal.SIGINT) == 0
    assert processes(stack) == []
    assert not list(Path("/tmp").glob(f"seaweedfs-s3-{stack.environment['AWS_ENDPOINT_URL'].rpartition(':')[2]}.sock"))


def processes(stack: Stack) -> list[psutil.Process]:
    """All that belong to it."""
    from cluster.stack.folder import Folder
    from cluster.stack.processes import belonging
    from cluster.stack.state import read_state

    leaders = [running.process for running in read_state(Folder(stack.folder)).servers.values()]
    return belonging(f"{stack.folder}:", leaders)


def files(root: Path) -> Iterator[Path]:
    """All there are below `root`, or it; what is deleted meanwhile is passed over."""
    yield root
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names)


def restore_program() -> list[str]:
    from cluster.stack.servers.programs import postgres_programs

    return [str(postgres_programs() / "bin" / "pg_restore")]


def answer(url: str, headers: dict[str, str]) -> int:
    """The status that a request gets."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as given:
            status: int = given.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def jobs(stack: Stack) -> list[dict[str, object]]:
    """What Ray keeps of them."""
    token = (stack.folder / "keys" / "ray_token").read_text()
    asked = urllib.request.Request(
        f"{stack.environment['RAY_ADDRESS']}/api/jobs/", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=60) as given:
        found: list[dict[str, object]] = json.load(given)
    return found


def s3(stack: Stack, identity: str, key: str | None = None):  # type: ignore[no-untyped-def]
    import boto3

    kept = json.loads((stack.folder / "keys" / "secrets.json").read_text())
    return boto3.client(
        "s3", endpoint_url=stack.environment["AWS_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id=identity, aws_secret_access_key=key or kept[f"s3_{identity}"],
    )  # fmt: skip
