"""Scores at several noise levels, of a study's model or of any, in; the curves that a figure draws out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gkm.evaluation import ImageScore, mean_scores
from gkm.report.evidence import NoiseScores
from gkm.report.figures.noise_figures import NoiseCurve, NoisePoint
from gkm.report.figures.series import BLURRED_STYLE, Style, style_of
from gkm.report.tables.gains import METRICS, around, paired
from gkm.scoring.lines import Line


def curves_of_scores(noise: Sequence[NoiseScores]) -> list[NoiseCurve]:
    """The blurred input, and the restored photographs with the interval of what they gain over it."""
    levels = sorted(noise, key=lambda level: level.sigma_8bit)
    blurred = {name: [_point(level.sigma_8bit, name, level.blurred) for level in levels] for name, _, _ in METRICS}
    restored = {
        name: [_point(level.sigma_8bit, name, level.restored, level.blurred) for level in levels]
        for name, _, _ in METRICS
    }
    return [
        NoiseCurve(name="blurred input", style=BLURRED_STYLE, points=_known(blurred)),
        NoiseCurve(name="this study’s model", style=style_of(0), points=_known(restored)),
    ]


def curves_of_lines(lines: Sequence[Line], styles: Mapping[str, Style]) -> list[NoiseCurve]:
    """A curve for each model among measured `lines`, in their order; `styles` has one for each."""
    curves = []
    for model in dict.fromkeys(line.model for line in lines):
        levels = {line.noise_sigma_8bit: line for line in reversed(lines) if line.model == model}
        points = {
            name: [_of_line(sigma, name, line) for sigma, line in sorted(levels.items(), key=_sigma)]
            for name, _, _ in METRICS
        }
        curves.append(NoiseCurve(name=model, style=styles[model], points=_known(points)))
    return curves


def _sigma(level: tuple[float | None, Line]) -> float:
    return level[0] or 0.0


def _point(
    sigma: float, name: str, scores: Sequence[ImageScore], before: Sequence[ImageScore] | None = None
) -> NoisePoint | None:
    mean = mean_scores(scores).get(name)
    if mean is None:
        return None
    low, high = around(mean, None if before is None else paired(name, before, scores))
    return NoisePoint(sigma_8bit=sigma, mean=mean, low=low, high=high)


def _of_line(sigma: float | None, name: str, line: Line) -> NoisePoint | None:
    mean: float | None = getattr(line, name)
    if mean is None:
        return None
    low, high = around(mean, line.gains.get(name))
    return NoisePoint(sigma_8bit=sigma or 0.0, mean=mean, low=low, high=high)


def _known(points: Mapping[str, Sequence[NoisePoint | None]]) -> dict[str, list[NoisePoint]]:
    return {name: [point for point in row if point is not None] for name, row in points.items()}
