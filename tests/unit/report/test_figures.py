"""Figures that a page can hold: well-formed, in the page's colours, and complete."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from gkm.report import Kernels
from gkm.report.figures import curves, kernel_figures, search_figures
from gkm.report.figures.svg import COLOURS
from gkm.study.design.objective import PSNR, Objective
from gkm.study.record.results import StudyResults

SVG = "{http://www.w3.org/2000/svg}"


def _ids(svg: str) -> list[str]:
    return [node.attrib["id"] for node in ElementTree.fromstring(svg).iter() if "id" in node.attrib]


def test_every_validated_trial_has_a_line_that_says_what_it_is(study: StudyResults) -> None:
    svg = str(curves.validation_curves(study, blurred_psnr=25.4))
    titles = [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert [title.partition(",")[0] for title in sorted(titles)] == [f"Trial {n}" for n in range(7)]
    assert any("stopped" in title and "learned_gaussian" in title for title in titles)
    assert "blurred input, 25.40" in svg


def test_the_curve_is_that_of_the_weights_kept_and_never_falls(study: StudyResults) -> None:
    psnr = [20.0, 22.0, 21.0, 21.5]
    history = tuple({"epoch": float(epoch), "val/psnr": value} for epoch, value in enumerate(psnr, 1))
    trial = dataclasses.replace(study.trials[0], history=history)
    svg = str(curves.validation_curves(dataclasses.replace(study, trials=(trial,))))
    (kept,) = (node for node in ElementTree.fromstring(svg).iter(f"{SVG}g") if node.get("id", "").endswith("trial-0"))
    heights = [float(point.split()[1]) for point in kept.find(f"{SVG}path").get("d", "").strip("M ").split("L")]  # type: ignore[union-attr]
    assert heights[0] > heights[1], "downwards is larger in SVG"
    assert heights[1] == heights[2] == heights[3]
    (title,) = kept.iter(f"{SVG}title")
    assert "last 22.00" in (title.text or "")


def test_what_was_reported_as_the_best_is_drawn_as_it_is(study: StudyResults) -> None:
    history = ({"epoch": 4.0, "val/psnr": 20.0, "best/val/psnr": 23.25},)
    trial = dataclasses.replace(study.trials[0], history=history)
    assert "last 23.25" in str(curves.validation_curves(dataclasses.replace(study, trials=(trial,))))


def test_curves_follow_the_first_objective(study: StudyResults) -> None:
    by_ssim = tuple(dataclasses.replace(trial, metric="val/ssim") for trial in study.trials)
    ssim = dataclasses.replace(study, trials=by_ssim, objectives=(Objective("val/ssim", "max", ""),))
    svg = str(curves.validation_curves(ssim, blurred_psnr=25.4))
    assert "validation SSIM" in svg
    assert "blurred input" not in svg, "its PSNR has no place on that axis"


def test_colours_are_the_pages_own(study: StudyResults) -> None:
    svg = str(curves.loss_curves(study))
    assert "var(--best)" in svg
    assert "var(--stopped)" in svg
    assert not any(colour in svg for colour in COLOURS.values())


def test_two_figures_of_one_page_share_no_id(study: StudyResults) -> None:
    ids = _ids(str(curves.validation_curves(study))) + _ids(str(curves.loss_curves(study)))
    assert len(ids) == len(set(ids))


def test_a_loss_that_is_not_a_number_leaves_a_gap(study: StudyResults) -> None:
    history = ({"epoch": 1.0, "train/loss": 0.1, "val/psnr": 20.0}, {"epoch": 2.0, "train/loss": float("nan")})
    broken = dataclasses.replace(study.trials[0], history=history)
    assert "nan" not in str(curves.loss_curves(dataclasses.replace(study, trials=(broken,)))).lower()


def test_settings_with_one_value_have_no_panel(study: StudyResults) -> None:
    assert len(search_figures.parameter_panels(study)) == 6
    one = dataclasses.replace(study, trials=study.trials[:1])
    assert search_figures.parameter_panels(one) == []


def test_a_setting_over_decades_has_a_tick_at_each_power_of_ten(study: StudyResults) -> None:
    rates = [3e-5, 1e-4, 2e-4, 1e-3, 2e-3, 1e-2, 2e-2]
    trials = tuple(
        dataclasses.replace(trial, parameters={"optim.learning_rate": rate})
        for trial, rate in zip(study.trials[:7], rates, strict=True)
    )
    ((title, svg),) = search_figures.parameter_panels(dataclasses.replace(study, trials=trials))
    assert title == "learning rate"
    shown = [node.text for node in ElementTree.fromstring(str(svg)).iter(f"{SVG}text")]
    assert {"0.0001", "0.001", "0.01"} <= set(shown)
    assert "0.002" not in shown


def test_every_scored_setting_is_a_line_from_its_settings_to_its_score(study: StudyResults) -> None:
    svg = str(search_figures.parallel_coordinates(study))
    titles = {node.text.partition(",")[0]: node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}title")}  # type: ignore[union-attr]
    assert set(titles) == {f"Setting {number}" for number in range(7)}
    assert "learning rate = 0.0071" in titles["Setting 1"]
    shown = [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert {"M", "K", "T", "kernels", "loss", "rate", "PSNR (dB)", "learned gaussian", "0.0012"} <= set(shown)
    assert "var(--score-0)" in svg
    assert "var(--best)" in svg


def test_a_setting_that_was_not_searched_everywhere_still_has_a_line(study: StudyResults) -> None:
    trials = tuple(
        dataclasses.replace(t, parameters={k: v for k, v in t.parameters.items() if t.number or k != "loss.schedule"})
        for t in study.trials
    )
    svg = str(search_figures.parallel_coordinates(dataclasses.replace(study, trials=trials)))
    assert "Setting 0," in svg
    assert "nan" not in svg.lower()


def test_few_settings_or_parameters_have_no_parallel_coordinates(study: StudyResults) -> None:
    assert search_figures.parallel_coordinates(dataclasses.replace(study, trials=study.trials[:2])) is None
    alone = tuple(dataclasses.replace(t, parameters={"model.num_scales": t.number}) for t in study.trials)
    assert search_figures.parallel_coordinates(dataclasses.replace(study, trials=alone)) is None


def test_the_front_is_drawn_among_all_trials(front: StudyResults) -> None:
    ((title, svg),) = search_figures.front_panels(front)
    assert title == "validation PSNR (dB) against multiply-adds per pixel"
    root = ElementTree.fromstring(str(svg))
    points = {node.text.partition(":")[0] for node in root.iter(f"{SVG}title")}  # type: ignore[union-attr]
    assert points == {f"Trial {number}" for number in (0, 1, 2, 3, 5, 6)}, "failed ones have no place on it"
    numbered = {node.text for node in root.iter(f"{SVG}text")} & {str(number) for number in range(8)}
    assert numbered == {str(trial.number) for trial in front.front}
    assert search_figures.front_panels(dataclasses.replace(front, objectives=(PSNR,))) == []


def test_text_from_outside_is_escaped(study: StudyResults) -> None:
    trial = dataclasses.replace(study.trials[0], parameters={"model.gcm": "<script>alert(1)</script>"})
    svg = str(curves.validation_curves(dataclasses.replace(study, trials=(trial,))))
    assert "<script" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("count", [1, 7, 22])
def test_the_bank_is_one_tile_per_kernel(count: int) -> None:
    kernels = Kernels(
        start_KMM=np.random.default_rng(0).random((count, 5, 5)), sigmas_pixels=[0.0] + [0.5] * (count - 1)
    )
    (_, tiles), (_, profiles) = kernel_figures.kernel_figures(kernels)
    assert len(list(ElementTree.fromstring(str(tiles)).iter(f"{SVG}image"))) == count
    ElementTree.fromstring(str(profiles))


def test_learned_kernels_show_before_after_and_change() -> None:
    start = np.zeros((3, 5, 5))
    start[:, 2, 2] = 1
    learned = start.copy()
    learned[1, 2, 2] = 0.75
    shown = dict(kernel_figures.kernel_figures(Kernels(start_KMM=start, learned_KMM=learned)))
    assert list(shown) == ["Before training", "After training", "Change, as a part of the kernel"]
    assert "25.0%" in shown["Change, as a part of the kernel"]
