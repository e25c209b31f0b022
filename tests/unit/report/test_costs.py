"""What a study's trials reach with their multiply-adds, and where its model stands beside published ones."""

import dataclasses
import re
from pathlib import Path

import pytest

from gkm.config import ModelConfig
from gkm.networks import build, measure
from gkm.report import TestScores, build_page, costs
from gkm.study.record.results import StudyResults


def test_a_network_is_counted_for_each_pixel() -> None:
    config = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2)
    found, large = costs.pixel_cost(config), measure(build(config), 256, 384)
    assert found.macs == pytest.approx(large.macs / (256 * 384), rel=0.03)
    assert found.paper == pytest.approx(large.paper_gflops * 1e9 / (256 * 384), rel=0.03)


def test_trials_lie_by_their_score_and_their_multiply_adds(study: StudyResults) -> None:
    found = costs.with_costs(study)
    assert [objective.metric for objective in found.objectives] == ["val/psnr", "multiply_adds"]
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3, 5, 6], "failed trials have no place"
    known = {trial.number: trial.value("multiply_adds") for trial in found.trials}
    assert known[1] == costs.pixel_cost(study.trials[1].config.model).macs
    cheapest = min(known, key=lambda number: known[number] or 0.0)
    assert {found.front[-1].number, found.front[0].number} == {cheapest, study.ranked[0].number}


def test_what_the_record_knows_is_not_counted_again(study: StudyResults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "MOST_MEASURED", 1)
    known = dataclasses.replace(study.trials[1], complexity={"multiply_adds": 12.0})
    found = costs.with_costs(dataclasses.replace(study, trials=(study.trials[0], known, *study.trials[2:])))
    counted = {trial.number: trial.complexity["multiply_adds"] for trial in found.trials}
    assert counted.pop(1) == 12.0
    best = next(setting.number for setting in study.ranked if setting.number != 1)
    assert list(counted) == [best], "beyond the limit the best are counted"


def test_trials_that_take_the_same_have_no_figure(study: StudyResults, front: StudyResults) -> None:
    alone = dataclasses.replace(study, trials=study.trials[:1])
    assert len(costs.with_costs(alone).objectives) == 1
    assert len(costs.with_costs(front).objectives) == 1, "a study that searched by them has its front elsewhere"


def test_the_page_says_that_published_figures_do_not_compare(
    study: StudyResults, tests: TestScores, tmp_path: Path
) -> None:
    page = build_page(study, tests, out=tmp_path / "report.html", provenance={}, dataset="the embedded sample")
    text = page.read_text(encoding="utf-8")
    section = re.search(r'<section id="cost">.*?</section>', text, re.DOTALL)
    assert section
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section[0]))
    assert "The two panels do not compare in PSNR." in words
    assert "what others published, on DPD, 76 test photographs" in words
    assert "NeurIPS 2021" in words
    assert "no operations are published of them: JNB" in words
    assert "Measured here: 3 test photographs, the embedded sample" in words
    perfect = [dataclasses.replace(score, psnr=float("inf")) for score in tests.restored]
    assert costs.cost_section(study, dataclasses.replace(tests, restored=perfect), "")["cost_on_test"] is None
