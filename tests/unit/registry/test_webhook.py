"""Webhooks: what is posted, and that neither silence nor an error says more than it should."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gkm.errors import InputError
from gkm.registry import webhook
from gkm.registry.webhook import parse


class Listener(HTTPServer):
    """A server on this machine that keeps what it is told and answers as its `status` says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[tuple[str, dict[str, str], Any]] = []
        self.status, self.delay = 200, 0.0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, dict(self.headers), json.loads(content)))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.told.append(("redirected", {}, None))

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_event_is_posted_as_json_with_the_credentials_in_a_header(listener: Listener) -> None:
    hook = parse(f"http://ann:s%40cret@{listener.address}/hooks/T123?token=abc")
    assert hook.post({"event": "promoted", "version": 3}) is None
    ((path, headers, content),) = listener.told
    assert (path, content) == ("/hooks/T123?token=abc", {"event": "promoted", "version": 3})
    assert headers["Authorization"] == "Basic YW5uOnNAY3JldA=="
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [302, 307, 404, 500])
def test_any_other_answer_is_said_without_the_address_and_redirections_are_not_followed(
    listener: Listener, status: int
) -> None:
    listener.status = status
    trouble = parse(f"http://ann:secret@{listener.address}/hooks/T123?token=abc").post({})
    assert trouble is not None
    assert f"webhook http://{listener.address}: answered with status {status}" in trouble
    assert not any(word in trouble for word in ("ann", "secret", "T123", "abc"))
    assert [path for path, _, _ in listener.told] == ["/hooks/T123?token=abc"]


def test_one_that_does_not_answer_is_given_up(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    listener.delay = 1.0
    trouble = parse(f"http://{listener.address}/secret").post({})
    assert trouble is not None
    assert "cannot be reached (TimeoutError)" in trouble
    assert "/secret" not in trouble


def test_one_that_is_not_there_is_said() -> None:
    trouble = parse("http://ann:secret@127.0.0.1:1/T123").post({})
    assert trouble is not None
    assert trouble.startswith("webhook http://127.0.0.1:1: cannot be reached (ConnectionRefusedError)")
    assert "secret" not in repr(parse("http://ann:secret@127.0.0.1:1/T123"))


@pytest.mark.parametrize("url", ["", "hook", "ftp://secret@h/x", "file:///etc/secret", "http://", "http://h:secret/x"])
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match=r"GKM_PROMOTION_WEBHOOK.*is no address") as refused:
        parse(url)
    assert "secret" not in str(refused.value)
