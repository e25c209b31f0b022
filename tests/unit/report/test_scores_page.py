"""The page of an evaluation: figures and tables, published lines marked, safe whatever models are called."""

import dataclasses
import re
from pathlib import Path

import pytest

from gkm.report import build_scores_page
from gkm.scoring.lines import Line, ScoreTable, published, source_notes
from gkm.scoring.published import on_data
from gkm.scoring.summary import Gain


def made_up_lines(data: str = "sample") -> list[Line]:
    """The blurred input, a network and a method without one, at two noise levels."""
    lines = []
    for sigma in (0.0, 3.0):
        blurred = Line(model="blurred input", origin="measured", data=data, noise_sigma_8bit=sigma, photographs=6,
                       psnr=28.0 - sigma / 4, ssim=0.8, lpips=0.2)  # fmt: skip
        gains = {"psnr": Gain(0.5, 0.25, 0.75), "ssim": Gain(0.01, None, None)}
        fixed = dataclasses.replace(blurred, model="GKM fixed point", psnr=28.25 - sigma / 3, gains=gains)
        network = dataclasses.replace(
            blurred, model="mine <b>", psnr=28.5 - sigma / 4, gains=gains, parameters=1e4, macs=4e8, paper_gflops=0.3,
            pixels=100_000, model_bytes=4e4, cpu_seconds=0.5, trained_on="the same data",
        )  # fmt: skip
        lines += [blurred, network, fixed]
    return lines


def made_up_tables(*more: Line) -> list[ScoreTable]:
    lines = [*made_up_lines(), *more]
    return [ScoreTable("Scores by the protocol gkm", lines, ["sample: fingerprint 3f9a.", *source_notes(lines)])]


def _words(page: Path, anchor: str) -> str:
    found = re.search(rf'<section id="{anchor}">.*?</section>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found, anchor
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    tables = made_up_tables(*map(published, on_data("dpd", [0.0, 3.0])))
    return build_scores_page(tables, tmp_path / "report.html", name="scores", beside=["tables.md", "scores.parquet"])


def test_published_figures_are_marked_in_figures_and_tables(page: Path) -> None:
    cost = _words(page, "cost")
    assert "Measured here: sample, 6 photographs" in cost
    assert "Published by others †: DPD, 76 test photographs" in cost
    assert "The two panels do not compare in PSNR." in cost
    assert "operations are published of them: JNB, EBDB, DMENet, NRKNet, DRBNet" in cost
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r'<tr class="([\w-]+)"><th scope="row">(.*?)</th>', text)
    assert {kind for kind, _ in rows} == {"measured", "published"}
    assert all(name.endswith(" †") == (kind == "published") for kind, name in rows)


def test_noise_has_curves_for_all_that_was_measured(page: Path) -> None:
    words = _words(page, "noise")
    for title in ("PSNR, higher is better", "SSIM, higher is better", "LPIPS, lower is better"):
        assert title in words
    assert "mine &lt;b&gt;: 28.50 at σ = 0, 27.75 at σ = 3" in words
    assert "GKMNet" not in words, "published figures are in the table alone"


def test_costs_stand_once_for_each_network(page: Path) -> None:
    words = _words(page, "table-1")
    assert words.count("the same data") == 1
    assert "+0.50 [+0.25, +0.75]" in words
    assert "sample: fingerprint 3f9a." in words


def test_the_page_stands_alone_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'<section id="([\w-]+)"', text))
    links = re.findall(r'<a href="([^"]*)"', text)
    assert set(links) == {f"#{anchor}" for anchor in anchors - {"files"}} | {"tables.md", "scores.parquet"}
    assert "<b>mine" not in text
    assert "mine <b>" not in text
    assert "<script" not in text


def test_measured_alone_has_no_word_of_published_figures(tmp_path: Path) -> None:
    page = build_scores_page(made_up_tables(*made_up_lines("other")), tmp_path / "report.html", name="scores")
    assert "†" not in page.read_text(encoding="utf-8")
    cost = _words(page, "cost")
    assert "Measured here: sample, 6 photographs" in cost
    assert "Measured here: other, 6 photographs" in cost
    assert "multiply-adds per pixel" in cost


def test_without_networks_and_noise_there_are_tables_alone(tmp_path: Path) -> None:
    table = ScoreTable("Scores", made_up_lines()[:1], ())
    text = build_scores_page([table], tmp_path / "report.html", name="scores").read_text(encoding="utf-8")
    assert re.findall(r'<section id="([\w-]+)"', text) == ["table-1"]
    assert build_scores_page([], tmp_path / "none.html", name="none").is_file()
