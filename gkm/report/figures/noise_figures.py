"""Scores of models at several noise levels in; curves with intervals as inline SVG out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from gkm.report.figures.series import Style
from gkm.report.figures.svg import figure
from gkm.report.tables.cells import number

NOISE_INCHES = (3.7, 2.8)
_MARGINS = (0.68, 0.48, 0.12, 0.08)
_NAMES = {"psnr": ("PSNR (dB)", 2), "ssim": ("SSIM", 3), "lpips": ("LPIPS", 3)}
"""Metric -> what an axis calls it, digits after the point."""
_TITLES = {"psnr": "PSNR, higher is better", "ssim": "SSIM, higher is better", "lpips": "LPIPS, lower is better"}
_APART = 0.012
"""Distance between the intervals of two models at one noise level, of the width of the axis."""


@dataclass(frozen=True, kw_only=True)
class NoisePoint:
    """A mean over photographs at one noise level."""

    sigma_8bit: float
    mean: float
    low: float | None = None
    """Bounds of its interval; None where there is none."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class NoiseCurve:
    """One model."""

    name: str
    style: Style
    points: Mapping[str, Sequence[NoisePoint]]
    """Metric ("psnr", "ssim", "lpips") -> noise levels, ascending."""


def noise_panels(curves: Sequence[NoiseCurve], of: str) -> list[tuple[str, Markup]]:
    """Title and picture for each metric that the curves have; none where there are fewer than two noise levels.

    `of` says of which photographs they are; two figures of a page differ in it.
    """
    sigmas = {point.sigma_8bit for curve in curves for points in curve.points.values() for point in points}
    if len(sigmas) < 2:
        return []
    there = [metric for metric in _NAMES if any(_finite(curve, metric) for curve in curves)]
    return [(_TITLES[metric], _panel(metric, curves, of, max(sigmas) - min(sigmas))) for metric in there]


def _panel(metric: str, curves: Sequence[NoiseCurve], of: str, width: float) -> Markup:
    name, digits = _NAMES[metric]
    titles = {}
    with figure(NOISE_INCHES, _MARGINS) as (drawn, done):
        axes = drawn.subplots()
        for place, curve in enumerate(curves):
            shift = (place - (len(curves) - 1) / 2) * _APART * width
            points = _finite(curve, metric)
            _draw(axes, curve.style, points, shift, f"curve-{place}")
            told = ", ".join(f"{number(point.mean, digits).text} at σ = {point.sigma_8bit:g}" for point in points)
            titles[f"curve-{place}"] = f"{curve.name}: {told}"
        axes.set_xlabel("σ of the noise (8-bit grey levels)")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.margins(0.05, 0.1)
        return done(f"{name} against the noise level, one line per model, {of}.", titles)


def _draw(axes: Any, style: Style, points: Sequence[NoisePoint], shift: float, gid: str) -> None:
    """The line with its marks, and a bar for every interval."""
    xs = [point.sigma_8bit + shift for point in points]
    (line,) = axes.plot(
        xs, [point.mean for point in points], style.marker, color=style.colour, markersize=5, linewidth=1.6
    )
    line.set(linestyle=style.linestyle, gid=gid)
    for x, point in zip(xs, points, strict=True):
        if point.low is not None and point.high is not None:
            axes.vlines(x, point.low, point.high, color=style.colour, linewidth=1.2)


def _finite(curve: NoiseCurve, metric: str) -> list[NoisePoint]:
    return [point for point in curve.points.get(metric, ()) if math.isfinite(point.mean)]
