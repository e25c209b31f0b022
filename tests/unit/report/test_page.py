"""The page: complete, self-contained, and safe whatever names data sets and studies bear."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gkm.errors import InputError
from gkm.report import Kernels, TestScores, build_page
from gkm.study.record.results import StudyResults


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def _build(study: StudyResults, tests: TestScores, out: Path, kernels: Kernels | None = None) -> tuple[str, _Elements]:
    provenance = {"Commit": "1934ca7", "Data fingerprint": study.data_fingerprint}
    build_page(study, tests, out=out, provenance=provenance, kernels=kernels)
    text = out.read_text(encoding="utf-8")
    elements = _Elements()
    elements.feed(text)
    return text, elements


def test_the_page_holds_every_part(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    kernels = Kernels(start_KMM=np.ones((3, 5, 5)))
    text, elements = _build(study, tests, tmp_path / "new" / "report.html", kernels)
    parts = {attributes.get("id") for attributes in elements.all("section")}
    expected = ["verdict", "test", "pictures", "noise", "settings", "trials", "convergence", "cost", "parameters"]
    expected += ["inside", "kernels", "method"]
    assert parts == {*expected, "provenance"}
    for link in elements.all("a"):
        target = (link["href"] or "").removeprefix("#")
        assert target in parts or target.startswith("photograph-")
    assert "3f9a10cc24e1" in text
    assert "all trials share seed 0, so differences between trials carry no error bars" in text
    assert "became nan" in text
    assert "blurred input, 25.40" in text
    first, *_ = elements.all("section")
    assert first["id"] == "verdict"


def _section(text: str, anchor: str) -> str:
    """The words of a part of the page."""
    found = re.search(rf'<section id="{anchor}">.*?</section>', text, re.DOTALL)
    assert found, anchor
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def test_an_ablation_has_its_arms_and_no_search(ablation: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, elements = _build(ablation, tests, tmp_path / "report.html")
    words = _section(text, "arms")
    assert "Arms against full" in words
    assert "worse by 0.61 dB (95 % interval" in words
    assert "no learned kernels T = 2, width = 5 −0.61 &lt; 0.001 25.99" in words
    assert len([svg for svg in elements.all("svg") if svg.get("class") == "forest"]) == 6
    assert 'id="parameters"' not in text
    assert 'id="seeds"' not in text


@pytest.mark.slow
def test_a_confirmed_study_shows_fresh_seeds(confirmed: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, _ = _build(confirmed, tests, tmp_path / "report.html")
    words = _section(text, "verdict")
    assert "With fresh seeds" in words
    assert "2 best 26.90 26.60 – 1 +0.30" in words
    assert "1 the search’s choice 27.00 26.20 – 1 +0.80" in words
    assert "confirms setting 2" in _section(text, "trials")


@pytest.mark.slow
def test_several_objectives_have_a_front(front: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, _ = _build(front, tests, tmp_path / "report.html")
    assert "Trials on the Pareto front" in _section(text, "front")
    assert "MAC/pixel" in _section(text, "trials")


@pytest.mark.slow
def test_an_interrupted_study_says_so_first(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    halted = dataclasses.replace(study, status="interrupted", reason="Ctrl-C")
    text, _ = _build(halted, tests, tmp_path / "report.html")
    assert "Verdict This study is interrupted: Ctrl-C. The page shows what there was" in _section(text, "verdict")


@pytest.mark.slow
def test_the_page_tells_how_to_open_the_record(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, _ = _build(study, tests, tmp_path / "report.html")
    words = _section(text, "provenance")
    assert "optuna-dashboard /runs/records/quick.journal" in words
    assert "gkm study show quick" in words
    shared = dataclasses.replace(study, record="postgresql://***@db/studies")
    assert "Put user and password in the place of ***" in _build(shared, tests, tmp_path / "shared.html")[0]


@pytest.mark.slow
def test_a_page_stays_small(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    without = dataclasses.replace(tests, examples=[], inside=None)
    trials = tuple(
        dataclasses.replace(t, number=t.number + 8 * i, group=t.group + 8 * i) for i in range(8) for t in study.trials
    )
    text, _ = _build(dataclasses.replace(study, trials=trials), without, tmp_path / "report.html")
    assert len(text) < 1_000_000, "64 trials of 18 epochs"


def test_the_page_asks_for_nothing_from_outside(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, elements = _build(study, tests, tmp_path / "report.html")
    for tag, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name) or "data:"
            assert value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]}>"
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in elements.all("meta"))


@pytest.mark.slow
def test_every_picture_has_a_description(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    _, elements = _build(study, tests, tmp_path / "report.html")
    images = elements.all("img")
    assert len(images) == (6 + 4) * len(tests.examples) + 3 + 3
    assert all(image["alt"] for image in images)
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in elements.all("svg"))


@pytest.mark.slow
def test_the_iteration_without_learning_stands_beside_the_model(
    study: StudyResults, tests: TestScores, tmp_path: Path
) -> None:
    text, _ = _build(study, tests, tmp_path / "report.html")
    assert "GKM fixed point, oracle kernels" in text
    assert "after 3 iterations" in text
    assert tests.baseline is not None
    mean = sum(score.psnr for score in tests.baseline.scores) / 3
    assert f">{mean:.2f}</td>" in text
    bare, _ = _build(study, dataclasses.replace(tests, baseline=None, inside=None), tmp_path / "bare.html")
    assert "fixed point" not in bare
    assert "Inside the network" not in bare


@pytest.mark.slow
def test_noise_is_drawn_with_what_it_gains(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    text, _ = _build(study, tests, tmp_path / "report.html")
    words = _section(text, "noise")
    assert words.count("this study’s model: ") == 3
    assert "σ = 5" in words
    quiet = dataclasses.replace(tests, noise=tests.noise[:1])
    assert "the model’s mean" not in _section(_build(study, quiet, tmp_path / "quiet.html")[0], "noise")


def test_names_are_escaped(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    hostile = dataclasses.replace(study, name="<script>alert(1)</script>")
    text, elements = _build(hostile, tests, tmp_path / "report.html")
    assert len(elements.all("script")) == 2
    assert "flower &lt;b&gt;" in text


def test_a_study_with_nothing_to_show_still_makes_a_page(
    study: StudyResults, tests: TestScores, tmp_path: Path
) -> None:
    failed = dataclasses.replace(study, trials=study.trials[7:])
    bare = TestScores(blurred=tests.blurred[:1], restored=tests.restored[:1])
    text, elements = _build(failed, bare, tmp_path / "report.html")
    assert "No trial of this study was validated." in text
    assert not elements.all("img")


@pytest.mark.slow
def test_the_page_says_how_to_promote_the_version(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    page = build_page(study, tests, out=tmp_path / "report.html", provenance={}, version=3)
    assert "<code>gkm promote --version 3</code>" in page.read_text(encoding="utf-8")
    named = build_page(study, tests, out=tmp_path / "named.html", provenance={}, version=3, data="/my data/dpd")
    command = "gkm evaluate --model 3 --data &#39;/my data/dpd&#39; --noise paper --published dpd"
    assert command in named.read_text(encoding="utf-8")
    without = build_page(study, tests, out=tmp_path / "report.html", provenance={})
    assert "gkm promote" not in without.read_text(encoding="utf-8")


@pytest.mark.slow
def test_several_seeds_are_counted(study: StudyResults, tests: TestScores, tmp_path: Path) -> None:
    other = study.trials[1]
    other = dataclasses.replace(other, config=other.config.with_values({"training.seed": 5}))
    text, _ = _build(dataclasses.replace(study, trials=(study.trials[0], other)), tests, tmp_path / "report.html")
    assert "2 seeds" in text


def test_a_page_that_cannot_be_written_is_named_and_leaves_nothing(
    study: StudyResults, tests: TestScores, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"report\.html"):
        _build(study, tests, tmp_path / "file" / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
