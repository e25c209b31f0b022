"""Curves over noise: one for each model and metric, told apart without colours, with bars for intervals."""

import math
from itertools import pairwise
from xml.etree import ElementTree

from gkm.report.figures.noise_figures import NoiseCurve, NoisePoint, noise_panels
from gkm.report.figures.series import BLURRED_STYLE, style_of

SVG = "{http://www.w3.org/2000/svg}"


def _curve(name: str, place: int | None, *psnrs: float, half: float | None = None) -> NoiseCurve:
    points = [
        NoisePoint(sigma_8bit=2.0 * i, mean=psnr, low=half and psnr - half, high=half and psnr + half)
        for i, psnr in enumerate(psnrs)
    ]
    style = BLURRED_STYLE if place is None else style_of(place)
    return NoiseCurve(name=name, style=style, points={"psnr": points, "ssim": points[:1]})


def test_each_model_is_a_curve_that_says_what_it_is() -> None:
    curves = [_curve("blurred input", None, 25.0, 24.0), _curve("mine & yours", 0, 26.0, 23.5, half=0.25)]
    panels = dict(noise_panels(curves, "sample, 6 photographs"))
    assert list(panels) == ["PSNR, higher is better", "SSIM, higher is better"]
    root = ElementTree.fromstring(str(panels["PSNR, higher is better"]))
    titles = {node.text for node in root.iter(f"{SVG}title")}
    assert titles == {
        "blurred input: 25.00 at σ = 0, 24.00 at σ = 2",
        "mine & yours: 26.00 at σ = 0, 23.50 at σ = 2",
    }
    bars = [node for node in root.iter(f"{SVG}g") if "LineCollection" in node.get("id", "")]
    assert len(bars) == 2, "one for each interval, none for the blurred input"
    assert "sample, 6 photographs" in root.attrib["aria-label"]


def test_a_score_that_is_infinite_leaves_a_gap_and_one_level_is_no_curve() -> None:
    broken = _curve("perfect", 0, math.inf, 26.0)
    ((_, svg), _) = noise_panels([broken, _curve("other", 1, 24.0, 23.0)], "sample")
    assert "inf" not in "".join(node.text or "" for node in ElementTree.fromstring(str(svg)).iter(f"{SVG}title"))
    assert noise_panels([_curve("alone", 0, 25.0)], "sample") == []
    assert noise_panels([], "sample") == []


def test_neighbours_differ_in_more_than_their_colour() -> None:
    styles = [style_of(place) for place in range(60)]
    assert len({(style.name, style.marker, style.dashes) for style in styles}) == 60
    for one, other in pairwise(styles):
        assert one.marker != other.marker
        assert one.dashes != other.dashes
