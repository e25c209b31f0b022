"""The demo asked by a client: what it answers, to whom, and what it does not tell."""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import ModelConfig
from gkm.data.photos import Upload
from gkm.demo.app import Demo
from gkm.demo.choices import Choice, UnknownChoiceError
from gkm.demo.restorations import MOST_WAITING, BusyError
from gkm.errors import InputError
from gkm.evaluation import restore_image
from gkm.networks import build
from gkm.registry import LoadedModel
from gkm.restoration.photograph import read_photograph
from tests.demo_server import serving


class FakeChoices:
    """A champion that is there, and a challenger whose files are gone."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        network = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
        torch.nn.init.constant_(network.blocks[0].omega_y, 0.5)
        self.champion = LoadedModel(network, "gkmnet version 1 (champion)", 1, ("champion",))
        self.gate = threading.Event()
        self.gate.set()

    def offered(self) -> list[Choice]:
        return [Choice("champion", "champion, version 1"), Choice("challenger", "challenger, version 2")]

    def get(self, key: str) -> LoadedModel:
        self.gate.wait()
        if key == "challenger":
            raise InputError("gkmnet version 2: its weights cannot be fetched from /secret/place; put them back")
        if key != "champion":
            raise UnknownChoiceError(f"{key}: is no model to choose; reload the page")
        return self.champion


@pytest.fixture(scope="module")
def choices() -> FakeChoices:
    return FakeChoices()


@pytest.fixture(scope="module")
def served(choices: FakeChoices) -> Iterator[tuple[Demo, int]]:
    with serving(choices) as demo_and_port:
        yield demo_and_port


@pytest.fixture
def ask(served: tuple[Demo, int]) -> Any:
    """Sends a request; gives status, headers and body."""

    def call(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", served[1])
        connection.request(method, path, body, {name.capitalize(): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    return call


def photo_file(height: int = 24, width: int = 32, kind: str = "PNG", **options: Any) -> tuple[Any, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return pixels, buffer.getvalue()


def test_a_photograph_is_restored_shown_and_fetched(ask: Any, choices: FakeChoices) -> None:
    pixels, file = photo_file(kind="TIFF")
    name = quote("../über\n1.tif")
    status, _, body = ask("POST", f"/restorations?model=champion&name={name}", file)
    facts = json.loads(body)
    assert status == 200, body
    assert (facts["name"], facts["model"]) == ("über1-restored.tif", "gkmnet version 1 (champion)")
    assert (facts["width"], facts["height"]) == (32, 24)
    expected = restore_image(choices.champion.model, pixels)
    for part, kind, wanted in (
        ("before", "image/png", pixels), ("after", "image/png", expected), ("file", "image/tiff", expected)
    ):  # fmt: skip
        status, headers, body = ask("GET", f"/restorations/{facts['key']}/{part}")
        assert (status, headers["content-type"]) == (200, kind)
        assert np.array_equal(read_photograph(Upload("it", body)).rgb_HW3, wanted)
    assert headers["content-disposition"] == f"attachment; filename*=UTF-8''{quote('über1-restored.tif')}"
    assert ask("GET", f"/restorations/{facts['key']}/model")[0] == 404


def test_the_page_needs_nothing_from_elsewhere(ask: Any) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, headers, body = ask("GET", path)
        assert (status, headers.get_content_type()) == (200, kind)
        assert b"http:" not in body
        assert b"https:" not in body
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["server"] is None
    offered = json.loads(ask("GET", "/choices")[2])
    assert offered["models"][0] == {"key": "champion", "label": "champion, version 1"}
    assert (offered["mostBytes"], offered["mostPixels"]) == (2_000_000, 1_000_000)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "169.254.1.1"])
def test_other_names_of_this_machine_are_refused(ask: Any, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/choices"), ("POST", "/restorations?model=champion")):
        status, headers, _ = ask(method, path, photo_file()[1] if method == "POST" else None, host=host)
        assert status == 400
        assert "default-src 'none'" in headers["content-security-policy"]


def test_pages_of_others_cannot_send(ask: Any, served: tuple[Demo, int]) -> None:
    path, file = "/restorations?model=champion", photo_file()[1]
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{served[1]}", "http://127.0.0.1:1"):
        assert ask("POST", path, file, origin=origin)[0] == 403
    assert ask("POST", path, file, origin=f"http://127.0.0.1:{served[1]}")[0] == 200


@pytest.mark.parametrize(
    ("model", "body", "status", "sentence"),
    [
        ("champion", b"words", 422, "a.png: is no photograph that can be read; give a PNG"),
        ("champion", b"", 422, "a.png: is empty; copy the photograph again"),
        ("champion", photo_file(8, 8)[1], 422, "a.png: is only 8x8 pixels"),
        ("champion", photo_file(1000, 1001)[1][:500], 422, "a.png: has 1001x1000 pixels, more than 1 million; scale"),
        ("champion", bytes(2_000_001), 413, "the file is larger than 2 MB; send a smaller one"),
        ("best", photo_file()[1], 422, "best: is no model to choose; reload the page"),
        ("challenger", photo_file()[1], 500, "the server could not do that; its terminal says why"),
    ],
)
def test_what_cannot_be_restored_is_said_without_paths(
    ask: Any, caplog: pytest.LogCaptureFixture, model: str, body: bytes, status: int, sentence: str
) -> None:
    found, _, answer = ask("POST", f"/restorations?model={model}&name=a.png", body)
    assert found == status
    assert json.loads(answer)["error"].startswith(sentence)
    assert b"/" not in answer.replace(b"; ", b"")
    deadline = time.monotonic() + 60
    while status == 500 and "/secret/place" not in caplog.text:  # said after the answer
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_is_restored_at_a_time_and_too_many_are_sent_away(
    ask: Any, served: tuple[Demo, int], choices: FakeChoices
) -> None:
    demo = served[0]
    choices.gate.clear()
    file = Upload("a.png", photo_file()[1])
    futures = [demo.restorations.submit(file, lambda: choices.get("champion"))]
    while demo.restorations.waiting:
        pass
    futures += [demo.restorations.submit(file, lambda: choices.champion) for _ in range(MOST_WAITING)]
    assert json.loads(ask("GET", "/waiting")[2]) == {"waiting": MOST_WAITING}
    status, _, answer = ask("POST", "/restorations?model=champion", file.content)
    assert (status, "too many photographs wait" in json.loads(answer)["error"]) == (503, True)
    with pytest.raises(BusyError):
        demo.restorations.submit(file, lambda: choices.champion)
    assert futures[1].cancel()
    choices.gate.set()
    keys = [future.result() for future in futures if not future.cancelled()]
    assert demo.restorations.result(keys[-1]) is not None
    assert demo.restorations.result(keys[0]) is None, "newer ones took its place"
    assert ask("GET", f"/restorations/{keys[0]}/file")[0] == 404
