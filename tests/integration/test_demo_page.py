"""The demo in a real browser: a photograph chosen, restored, compared and fetched, with no error in its log."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from gkm.config import ModelConfig
from gkm.demo.choices import Choice
from gkm.evaluation import restore_image
from gkm.networks import build
from gkm.registry import LoadedModel
from tests.demo_server import serving

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

PIXELS = """
const [id, done] = arguments, picture = document.getElementById(id), canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
const context = canvas.getContext("2d");
context.drawImage(picture, 0, 0);
done([canvas.width, canvas.height, [...context.getImageData(0, 0, canvas.width, canvas.height).data]]);
"""
FETCHED = """
const done = arguments[0];
fetch(document.getElementById("download").href).then((answer) => answer.arrayBuffer())
  .then((buffer) => done([...new Uint8Array(buffer)]));
"""


class FakeChoices:
    """A champion, and a challenger that leaves photographs darker."""

    def __init__(self) -> None:
        self.models = {}
        for number, (key, seed) in enumerate({"champion": 0, "challenger": 1}.items(), 1):
            torch.manual_seed(seed)
            network = build(ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2))
            torch.nn.init.constant_(network.blocks[0].omega_y, 0.5 / number)
            self.models[key] = LoadedModel(network, f"gkmnet version {number} ({key})", number, (key,))

    def offered(self) -> list[Choice]:
        return [Choice(key, model.name) for key, model in self.models.items()]

    def get(self, key: str) -> LoadedModel:
        return self.models[key]


@pytest.fixture(scope="module")
def choices() -> FakeChoices:
    return FakeChoices()


@pytest.fixture(scope="module")
def address(choices: FakeChoices) -> Iterator[str]:
    with serving(choices) as (_, port):
        yield f"http://127.0.0.1:{port}/"


def pixels_of(browser: "Chrome", picture: str) -> Any:
    width, height, numbers = browser.execute_async_script(PIXELS, picture)
    return np.array(numbers, np.uint8).reshape(height, width, 4)[:, :, :3]


def status_becomes(browser: "Chrome", words: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 300).until(lambda page: words in page.find_element("id", "status").text)


def test_a_photograph_is_restored_compared_and_fetched(
    browser: "Chrome", address: str, choices: FakeChoices, tmp_path: Path
) -> None:
    from selenium.webdriver.support.ui import Select, WebDriverWait

    pixels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    browser.get(address)
    WebDriverWait(browser, 300).until(lambda page: page.find_elements("css selector", "#model option"))
    assert "at most 2 MB and 1 million pixels" in browser.find_element("id", "limits").text
    browser.find_element("id", "photograph").send_keys(str(tmp_path / "photo.png"))
    status_becomes(browser, "restored photo.png")
    champion, challenger = (restore_image(model.model, pixels) for model in choices.models.values())
    assert np.array_equal(pixels_of(browser, "before"), pixels)
    assert np.array_equal(pixels_of(browser, "after"), champion)
    link = browser.find_element("id", "download")
    assert link.get_attribute("download") == "photo-restored.png"
    fetched = bytes(browser.execute_async_script(FETCHED))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(fetched))), champion)

    clip = "return getComputedStyle(document.getElementById('before')).clipPath"
    slide = (
        "const slider = document.getElementById('slider'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'));"
    )
    seen = []
    for share in (0, 25, 100):
        browser.execute_script(slide, share)
        seen.append(browser.execute_script(clip))
    assert len(set(seen)) == 3, "the slider moves the border between before and after"

    Select(browser.find_element("id", "model")).select_by_value("challenger")
    WebDriverWait(browser, 300).until(lambda page: "version 2" in page.find_element("id", "facts").text)
    status_becomes(browser, "restored photo.png")
    assert np.array_equal(pixels_of(browser, "after"), challenger)
    assert not np.array_equal(champion, challenger)
    for width in (1280, 400):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.get_log("browser") == []


def test_what_cannot_be_restored_is_said_on_the_page(browser: "Chrome", address: str, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(2_000_001))
    (tmp_path / "words.png").write_bytes(b"words")
    browser.get(address)
    status_becomes(browser, "")
    for name, sentence in (
        ("words.png", "words.png: is no photograph that can be read"),
        ("large.png", "large.png: is larger than 2 MB; choose a smaller one"),
    ):
        browser.find_element("id", "photograph").send_keys(str(tmp_path / name))
        status_becomes(browser, sentence)
        assert "wrong" in browser.find_element("id", "status").get_attribute("class")
        assert not browser.find_element("id", "result").is_displayed()
