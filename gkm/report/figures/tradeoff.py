"""Networks in; their PSNR against their multiply-adds as inline SVG out.

What was measured here and what others published stand in panels of their own, one above the other: they share the scale
of multiply-adds, and neither the scale of PSNR nor a mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from gkm.report.figures.series import Style
from gkm.report.figures.svg import COLOURS, PANEL_INCHES, figure
from gkm.report.tables.cells import number

BOTH_INCHES = (5.4, 6.0)
_MARGINS, _MARGINS_BOTH = (0.72, 0.5, 0.15, 0.32), (0.72, 0.5, 1.2, 0.32)
"""The right one has room for the names of what was published."""
_BETWEEN_INCHES = 0.5
_LABEL_POINTS = 11.0
"""Height of a line of a label."""
_LONGEST = 58
"""Letters that a panel's title has room for."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A network."""

    name: str
    operations: float
    """Multiply-adds per pixel."""
    psnr: float
    """In dB."""
    style: Style
    low: float | None = None
    """Bounds of the interval of its PSNR; None where there is none."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Level:
    """What has a PSNR but no multiply-adds: the blurred input, a method without a network."""

    name: str
    psnr: float
    style: Style


@dataclass(frozen=True)
class Claim:
    """A network of which others published both."""

    name: str
    operations: float
    psnr: float


def tradeoff(
    marks: Sequence[Mark], levels: Sequence[Level], claims: Sequence[Claim], *, where: str, elsewhere: str = ""
) -> Markup:
    """PSNR of `marks` against their multiply-adds, on photographs called `where`; below it `claims`, on `elsewhere`.

    With claims, all multiply-adds are taken to be counted as the paper does. At least one mark is needed.
    """
    shown = [mark.operations for mark in marks] + [claim.operations for claim in claims]
    titles: dict[str, str] = {}
    with figure(*((BOTH_INCHES, _MARGINS_BOTH) if claims else (PANEL_INCHES, _MARGINS))) as (drawn, done):
        if claims:
            height = (BOTH_INCHES[1] - _MARGINS_BOTH[1] - _MARGINS_BOTH[3] - _BETWEEN_INCHES) / 2
            drawn.subplots_adjust(hspace=_BETWEEN_INCHES / height)
            upper, lower = drawn.subplots(2, 1, sharex=True)
            _draw_claims(lower, claims, 72 * height, titles)
            _name(lower, f"Published by others †: {elsewhere}")
        else:
            upper = lower = drawn.subplots()
        _draw_marks(upper, marks, levels, titles)
        _name(upper, f"Measured here: {where}")
        lower.set_xlabel("multiply-adds per pixel" + (", as the paper counts them" if claims else ""))
        lower.set_xscale("log")
        lower.set_xlim(min(shown) / 1.5, max(shown) * 1.5)
        lower.xaxis.set_major_locator(LogLocator(subs=(1,) if max(shown) > 100 * min(shown) else (1, 2, 5)))
        lower.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))
        lower.xaxis.set_minor_formatter(NullFormatter())
        words = "; published figures of other photographs in a panel of their own" if claims else ""
        return done(f"PSNR against multiply-adds per pixel, measured on {where}{words}.", titles)


def _draw_marks(axes: Any, marks: Sequence[Mark], levels: Sequence[Level], titles: dict[str, str]) -> None:
    for place, level in enumerate(levels):
        line = axes.axhline(level.psnr, color=level.style.colour, linewidth=1.2, linestyle=level.style.linestyle)
        line.set_gid(f"level-{place}")
        titles[f"level-{place}"] = f"{level.name}: {number(level.psnr, 2).text} dB"
    for place, mark in enumerate(marks):
        if mark.low is not None and mark.high is not None:
            axes.vlines(mark.operations, mark.low, mark.high, color=mark.style.colour, linewidth=1.4)
        (point,) = axes.plot([mark.operations], [mark.psnr], mark.style.marker, color=mark.style.colour, markersize=8)
        point.set_gid(f"mark-{place}")
        titles[f"mark-{place}"] = _told(mark)
    _finish(axes)


def _draw_claims(axes: Any, claims: Sequence[Claim], height_points: float, titles: dict[str, str]) -> None:
    """Hollow marks, their names in a column at the right."""
    for place, claim in enumerate(claims):
        (point,) = axes.plot([claim.operations], [claim.psnr], "D", color=COLOURS["muted"], markersize=6)
        point.set(markerfacecolor="none", markeredgewidth=1.4, gid=f"claim-{place}")
        titles[f"claim-{place}"] = f"{_told(claim)}, published"
    _finish(axes)
    low, high = axes.get_ylim()
    heights = spread([claim.psnr for claim in claims], _LABEL_POINTS * (high - low) / height_points)
    for claim, height in zip(claims, heights, strict=True):
        axes.annotate(
            f"{claim.name} †",
            (claim.operations, claim.psnr),
            (1.03, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=COLOURS["muted"],
            annotation_clip=False,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": COLOURS["line"], "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4},
        )


def _finish(axes: Any) -> None:
    axes.set_ylabel("PSNR (dB)")
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))


def _told(one: Mark | Claim) -> str:
    operations = EngFormatter(sep="\N{NO-BREAK SPACE}")(one.operations)
    return f"{one.name}: {number(one.psnr, 2).text} dB, {operations} multiply-adds per pixel"


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places near `values`, in their order, with at least `gap` between any two."""
    placed = [0.0] * len(values)
    last = -math.inf
    for index in sorted(range(len(values)), key=lambda index: values[index]):
        last = placed[index] = max(values[index], last + gap)
    shift = sum(place - value for place, value in zip(placed, values, strict=True)) / max(1, len(values))
    return [place - shift for place in placed]


def _name(axes: Any, text: str) -> None:
    """Title a panel, without what follows the last commas where the whole is too long."""
    shown = text
    while len(shown) > _LONGEST and ", " in shown:
        shown = shown.rpartition(", ")[0]
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 1]}…"
    axes.set_title(shown, loc="left", fontsize=10, parse_math=False)
