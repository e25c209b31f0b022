"""Figures that a page can hold: well-formed, in the page's colours, and complete."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from gkm.report import Kernels, figures
from gkm.study.results import StudyResults

SVG = "{http://www.w3.org/2000/svg}"


def _ids(svg: str) -> list[str]:
    return [node.attrib["id"] for node in ElementTree.fromstring(svg).iter() if "id" in node.attrib]


def test_every_validated_trial_has_a_line_that_says_what_it_is(study: StudyResults) -> None:
    svg = str(figures.validation_curves(study, blurred_psnr=25.4))
    titles = [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert [title.partition(",")[0] for title in sorted(titles)] == [f"Trial {n}" for n in range(7)]
    assert any("stopped" in title and "learned_gaussian" in title for title in titles)
    assert "blurred input, 25.40" in svg


def test_colours_are_the_pages_own(study: StudyResults) -> None:
    svg = str(figures.loss_curves(study))
    assert "var(--best)" in svg
    assert "var(--stopped)" in svg
    assert not any(colour in svg for colour in figures.COLOURS.values())


def test_two_figures_of_one_page_share_no_id(study: StudyResults) -> None:
    ids = _ids(str(figures.validation_curves(study))) + _ids(str(figures.loss_curves(study)))
    assert len(ids) == len(set(ids))


def test_a_loss_that_is_not_a_number_leaves_a_gap(study: StudyResults) -> None:
    history = [{"epoch": 1.0, "train/loss": 0.1, "val/psnr": 20.0}, {"epoch": 2.0, "train/loss": float("nan")}]
    broken = dataclasses.replace(study.trials[0], history=history)
    assert "nan" not in str(figures.loss_curves(dataclasses.replace(study, trials=(broken,)))).lower()


def test_settings_with_one_value_have_no_panel(study: StudyResults) -> None:
    assert len(figures.parameter_panels(study)) == 6
    one = dataclasses.replace(study, trials=study.trials[:1])
    assert figures.parameter_panels(one) == []


def test_text_from_outside_is_escaped(study: StudyResults) -> None:
    trial = dataclasses.replace(study.trials[0], parameters={"model.gcm": "<script>alert(1)</script>"})
    svg = str(figures.validation_curves(dataclasses.replace(study, trials=(trial,))))
    assert "<script" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("count", [1, 7, 22])
def test_the_bank_is_one_tile_per_kernel(count: int) -> None:
    kernels = Kernels(
        start_KMM=np.random.default_rng(0).random((count, 5, 5)), sigmas_pixels=[0.0] + [0.5] * (count - 1)
    )
    (_, tiles), (_, profiles) = figures.kernel_figures(kernels)
    assert len(list(ElementTree.fromstring(str(tiles)).iter(f"{SVG}image"))) == count
    ElementTree.fromstring(str(profiles))


def test_learned_kernels_show_before_after_and_change() -> None:
    start = np.zeros((3, 5, 5))
    start[:, 2, 2] = 1
    learned = start.copy()
    learned[1, 2, 2] = 0.75
    shown = dict(figures.kernel_figures(Kernels(start_KMM=start, learned_KMM=learned)))
    assert list(shown) == ["Before training", "After training", "Change, as a part of the kernel"]
    assert "25.0%" in shown["Change, as a part of the kernel"]
