"""Quality against multiply-adds: what was measured and what was published never share a scale of PSNR or a mark."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from gkm.report.figures.series import BLURRED_STYLE, style_of
from gkm.report.figures.tradeoff import Claim, Level, Mark, spread, tradeoff

SVG = "{http://www.w3.org/2000/svg}"
MARKS = [
    Mark(name="small", operations=3e3, psnr=30.5, low=30.25, high=30.75, style=style_of(0)),
    Mark(name="large $x", operations=2e4, psnr=31.0, style=style_of(1)),
]
LEVELS = [Level(name="blurred input", psnr=29.75, style=BLURRED_STYLE)]
CLAIMS = [Claim("GKMNet", 3.2e5, 25.47), Claim("AttNet", 1.8e6, 25.22), Claim("DPDNet-D", 2.1e6, 25.12)]


def _texts(root: ElementTree.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def test_published_figures_stand_in_a_panel_of_their_own_and_are_marked() -> None:
    where = "sample, 6 photographs"
    root = ElementTree.fromstring(str(tradeoff(MARKS, LEVELS, CLAIMS, where=where, elsewhere="DPD, 76 photographs")))
    panels = [node for node in root.iter(f"{SVG}g") if "-axes_" in node.get("id", "")]
    assert len(panels) == 2
    upper, lower = (set(_texts(panel)) for panel in panels)
    assert f"Measured here: {where}" in upper
    assert "Published by others †: DPD, 76 photographs" in lower
    assert {"GKMNet †", "AttNet †", "DPDNet-D †"} <= lower
    assert not any("†" in text for text in upper)
    assert "multiply-adds per pixel, as the paper counts them" in lower
    titles = [[node.text or "" for node in panel.iter(f"{SVG}title")] for panel in panels]
    assert [title.partition(":")[0] for title in titles[0]] == ["blurred input", "small", "large $x"]
    assert all(title.endswith(", published") for title in titles[1])
    assert len(titles[1]) == 3


def test_what_was_measured_alone_is_counted_by_definition() -> None:
    root = ElementTree.fromstring(str(tradeoff(MARKS, LEVELS, [], where="sample")))
    assert "multiply-adds per pixel" in _texts(root)
    assert not any("†" in text for text in _texts(root))


def test_a_long_name_of_a_data_set_is_cut() -> None:
    root = ElementTree.fromstring(str(tradeoff(MARKS, [], [], where="$" + 100 * "x")))
    (title,) = (text for text in _texts(root) if text.startswith("Measured here"))
    assert title.endswith("x…")
    described = "6 test photographs, the embedded sample, real photographs with simulated defocus"
    root = ElementTree.fromstring(str(tradeoff(MARKS, [], [], where=described)))
    assert "Measured here: 6 test photographs, the embedded sample" in _texts(root)


@pytest.mark.parametrize("values", [[25.1, 25.1, 25.1], [1.0, 5.0, 1.2, 0.9], [3.0], []])
def test_labels_keep_their_distance_and_their_order(values: list[float]) -> None:
    placed = spread(values, 0.5)
    order = sorted(range(len(values)), key=values.__getitem__)
    gaps = [placed[b] - placed[a] for a, b in pairwise(order)]
    assert all(gap >= 0.5 - 1e-9 for gap in gaps)
    assert sum(placed) == pytest.approx(sum(values))
