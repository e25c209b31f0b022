"""The report in a real browser: every picture shows, nothing is wider than the window, no error is logged."""

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gkm.report import build_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser

MADE_UP = Path(__file__).parents[1] / "unit" / "report" / "conftest.py"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
BROKEN_PICTURES = """
return [...document.querySelectorAll("img, svg")].filter((picture) => {
  const box = picture.getBoundingClientRect();
  const unloaded = picture.tagName === "IMG" && !(picture.complete && picture.naturalWidth > 0);
  return box.width < 5 || box.height < 5 || unloaded;
}).map((picture) => picture.outerHTML.slice(0, 200));
"""
SPILLING = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")].filter((element) =>
  !element.closest(".scroll > *") && !element.closest("svg > *") && element.getBoundingClientRect().right > width + 1
).map((element) => element.outerHTML.slice(0, 120));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Chrome]":
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = Chrome(options=options, service=ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module", params=["fixed kernels", "learned kernels"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made_up = runpy.run_path(str(MADE_UP))
    return build_page(
        made_up["made_up_study"](),
        made_up["made_up_tests"](),
        out=tmp_path_factory.mktemp("page") / "report.html",
        provenance=made_up["PROVENANCE"],
        kernels=made_up["made_up_kernels"](learned=request.param == "learned kernels"),
        validation_blurred_psnr=25.4,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_shows_every_picture_and_no_error(browser: "Chrome", page: Path, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get(page.as_uri())
    assert browser.execute_script("return window.innerWidth") == width
    assert len(browser.find_elements("css selector", "img")) == 24
    assert browser.execute_script(BROKEN_PICTURES) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script(SPILLING) == []
    assert browser.get_log("browser") == []


def test_a_click_on_a_columns_head_sorts_the_trials(browser: "Chrome", page: Path) -> None:
    browser.get(page.as_uri())
    numbers = "return [...document.querySelectorAll('table.sortable tbody th')].map((cell) => cell.textContent)"
    assert browser.execute_script(numbers)[0] == "0"
    head = browser.find_element("css selector", "table.sortable thead button")
    browser.execute_script("arguments[0].click(); arguments[0].click()", head)
    assert browser.execute_script(numbers) == [str(number) for number in range(7, -1, -1)]
    psnr = browser.find_elements("css selector", "table.sortable thead button")[2]
    browser.execute_script("arguments[0].click()", psnr)
    assert browser.execute_script(numbers)[-1] == "7", "a trial without a score sorts last"
    assert browser.get_log("browser") == []
