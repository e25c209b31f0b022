"""MLflow's own webhooks, where a server has them: a promotion through gkm is what they tell of."""

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gkm.registry import promote, promotion
from gkm.registry.gates import Gates
from gkm.tracking import Tracking
from tests.integration.promoting import prepare
from tests.mlflow_server import Server
from tests.unit.registry.measurements import measured

pytestmark = pytest.mark.slow


@pytest.fixture
def told() -> Iterator[tuple[str, "queue.Queue[dict[str, Any]]"]]:
    """Where to tell, and what was told."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}/", heard
        listener.shutdown()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One that may tell a plain listener on this machine."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


def test_a_promotion_is_told_by_mlflows_own_webhook(
    server: Server, told: "tuple[str, queue.Queue[dict[str, Any]]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    url, heard = told
    tracking = Tracking(server.uri)
    tracking.client.create_webhook("promotions", url, ["model_version_alias.created"])
    prepare(server.uri, 2)
    monkeypatch.setattr(
        promotion, "measure", lambda _, number, opponent, *__, **___: measured(number, opponent, [1.0] * 6, clean=None)
    )
    promote(tracking, "d", version=2, gates=Gates())
    aliases: set[tuple[str, str]] = set()
    while not {("champion", "2"), ("previous", "1")} <= aliases:  # told from several threads, in any order
        event = heard.get(timeout=60)
        assert (event["entity"], event["action"]) == ("model_version_alias", "created")
        aliases.add((event["data"]["alias"], event["data"]["version"]))
