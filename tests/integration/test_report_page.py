"""The report in a real browser: every picture shows, nothing is wider than the window, no error is logged."""

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gkm.report import build_page, build_scores_page
from gkm.scoring.lines import published
from gkm.scoring.published import on_data

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser

MADE_UP = Path(__file__).parents[1] / "unit" / "report" / "conftest.py"
MADE_UP_SCORES = MADE_UP.with_name("test_scores_page.py")
BROKEN_PICTURES = """
return [...document.querySelectorAll("img, svg")].filter((picture) => !picture.closest("details")).filter((picture) => {
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
CUT_OFF = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll(".panels svg, .panels svg text, .legend li")].filter((element) =>
  element.getBoundingClientRect().right > width + 1
).map((element) => element.outerHTML.slice(0, 120));
"""
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module", params=["learned kernels", pytest.param("fixed kernels", marks=pytest.mark.slow)])
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


@pytest.fixture(scope="module")
def scores_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an evaluation with noise and published figures."""
    made_up = runpy.run_path(str(MADE_UP_SCORES))
    tables = made_up["made_up_tables"](*map(published, on_data("dpd", [0.0, 3.0])))
    out = tmp_path_factory.mktemp("scores") / "report.html"
    return build_scores_page(tables, out, name="scores", beside=["tables.md"])


def _open(browser: "Chrome", page: Path, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get(page.as_uri())
    assert browser.execute_script("return window.innerWidth") == width


def _refuse_faults(browser: "Chrome") -> None:
    assert browser.execute_script(BROKEN_PICTURES) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script(SPILLING) == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_page_shows_every_picture_and_no_error(browser: "Chrome", page: Path, width: int, scheme: str) -> None:
    _open(browser, page, width, scheme)
    assert len(browser.find_elements("css selector", "img:not(.stage img)")) == 3 * (6 + 4) + 6
    assert len(browser.find_elements("css selector", "#noise .panels svg, #cost .panels svg")) == 3 + 2
    _refuse_faults(browser)
    assert page.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_the_page_of_an_evaluation_shows_its_figures(
    browser: "Chrome", scores_page: Path, width: int, scheme: str
) -> None:
    _open(browser, scores_page, width, scheme)
    assert len(browser.find_elements("css selector", "#noise .panels svg, #cost .panels svg")) == 3 + 1
    _refuse_faults(browser)


@pytest.mark.parametrize("which", ["study", "evaluation"])
def test_figures_fit_on_paper(browser: "Chrome", page: Path, scores_page: Path, which: str) -> None:
    _open(browser, page if which == "study" else scores_page, 700, "light")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.execute_script(CUT_OFF) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.fixture
def photograph(browser: "Chrome", page: Path) -> str:
    """The second photograph of a page freshly opened, as a selector; the browser's own pointer lies in a corner."""
    from selenium.webdriver import ActionChains

    browser.get("about:blank")
    corner = ActionChains(browser)
    corner.w3c_actions.pointer_action.move_to_location(0, 0)
    corner.perform()  # else it may lie over a photograph, and moves the lens whenever the page is laid out again
    browser.get(page.as_uri())
    return "#photograph-2"


LENS = """
const style = document.querySelectorAll(arguments[0] + " .lens")[arguments[1]].style;
return [style.backgroundSize, style.backgroundPosition];
"""
POINT = """
const frame = document.querySelectorAll(arguments[0] + " .frame")[arguments[1]];
const area = frame.getBoundingClientRect();
const [clientX, clientY] = [area.left + arguments[2] * area.width, area.top + arguments[3] * area.height];
frame.dispatchEvent(new PointerEvent(arguments[4], {clientX, clientY, bubbles: true}));
"""


def _numbers(lens: list[str]) -> list[float]:
    return [float(part.strip("%")) for part in " ".join(lens).split()]


def test_the_lens_shows_the_same_detail_of_all_three(browser: "Chrome", photograph: str) -> None:
    def lenses() -> list[list[str]]:
        return [browser.execute_script(LENS, photograph, which) for which in range(3)]

    before = lenses()
    browser.execute_script(POINT, photograph, 0, 0.5, 0.5, "pointermove")
    moved = lenses()
    assert moved[0] == moved[1] == moved[2] != before[0]
    assert moved[0][1] == "50% 50%"
    browser.execute_script(POINT, photograph, 0, 0.5, 0.5, "pointerleave")
    assert lenses() == before, "back where it was"
    browser.execute_script(POINT, photograph, 2, 0, 1, "click")
    browser.execute_script(POINT, photograph, 2, 0, 1, "pointerleave")
    assert lenses()[0][1] == "0% 100%", "a click keeps it, within the photograph"


def test_keys_move_and_resize_the_lens(browser: "Chrome", photograph: str) -> None:
    from selenium.webdriver import Keys

    start = browser.execute_script(LENS, photograph, 0)
    frame = browser.find_element("css selector", f"{photograph} .frame")
    frame.send_keys("+")
    smaller = browser.execute_script(LENS, photograph, 1)
    assert float(smaller[0].split("%")[0]) > float(start[0].split("%")[0])
    frame.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert browser.execute_script(LENS, photograph, 1) != smaller
    frame.send_keys(Keys.ESCAPE)
    assert browser.execute_script(LENS, photograph, 0) == start


def test_a_link_leads_to_a_detail(browser: "Chrome", page: Path, photograph: str) -> None:
    browser.execute_script(POINT, photograph, 0, 0.5, 0.5, "click")
    link = browser.find_element("css selector", f"{photograph} .crop").get_attribute("href")
    wanted = _numbers(browser.execute_script(LENS, photograph, 0))
    browser.get("about:blank")
    browser.get(link)
    assert _numbers(browser.execute_script(LENS, photograph, 0)) == pytest.approx(wanted, rel=0.01)
    assert wanted[2:] == pytest.approx([50, 50], abs=2)
    for useless in ("#photograph-2@a,b,c", "#photograph-99@0,0,1", "#photograph-2@0.1"):
        browser.get("about:blank")
        browser.get(page.as_uri() + useless)
        assert browser.get_log("browser") == []


def test_two_photographs_lie_under_a_slider(browser: "Chrome", photograph: str) -> None:
    from selenium.webdriver.support.select import Select
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("document.querySelector(arguments[0]).open = true", f"{photograph} .versus")
    stage = f"{photograph} .stage"
    sources = "return [...document.querySelectorAll(arguments[0] + ' img')].map((image) => image.src)"
    frames = browser.execute_script(sources, f"{photograph} .frame")
    restored_under_blurred = [frames[1], frames[0]]  # chosen when the browser gets round to the event of opening
    WebDriverWait(browser, 60).until(lambda page: page.execute_script(sources, stage) == restored_under_blurred)
    left, right, zoom = (Select(found) for found in browser.find_elements("css selector", f"{photograph} select"))
    right.select_by_visible_text("Sharp")
    left.select_by_visible_text("Restored")
    assert browser.execute_script(sources, stage) == [frames[2], frames[1]]
    at = "return document.querySelector(arguments[0]).style.getPropertyValue('--at')"
    assert browser.execute_script(at, stage) == "50%"
    slider = browser.find_element("css selector", f"{photograph} input[type=range]")
    slider.send_keys("\ue012")  # the arrow to the left
    assert browser.execute_script(at, stage) == "49.5%"
    zoom.select_by_visible_text("4 ×")
    enlarged = "return document.querySelector(arguments[0] + ' img').style.transform"
    first = browser.execute_script(enlarged, stage)
    assert first.endswith("scale(4)")
    browser.execute_script(POINT, photograph, 0, 0.5, 0.5, "click")
    assert browser.execute_script(enlarged, stage) != first, "it follows the lens"
    wide = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
    assert browser.execute_script(wide, f"{stage} img") == pytest.approx(4 * browser.execute_script(wide, stage))
    assert browser.get_log("browser") == []


def test_a_printed_page_has_what_paper_can_show(browser: "Chrome", photograph: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "return getComputedStyle(document.querySelector(arguments[0] + arguments[1])).display"
        for part in (" .lens", " .versus"):
            assert browser.execute_script(shown, photograph, part) == "none"
        assert browser.execute_script(shown, photograph, " .zoom") == "block"
        assert browser.execute_script(shown, "", "nav") == "none"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


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
