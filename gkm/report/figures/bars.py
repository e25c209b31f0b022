"""Shares, counts and intervals in, small pictures for the cells of a table (inline SVG) out.

The style sheet gives the colours; shapes repeat what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from gkm.report.tables.cells import number
from gkm.study.insight.insight import RungRow
from gkm.study.insight.pairing import Comparison
from gkm.study.insight.statistics import Difference

WIDTH, HEIGHT, EDGE = 208, 24, 14
BAR_WIDTH, BAR_HEIGHT = 208, 14
_MIDDLE = HEIGHT / 2


@dataclass(frozen=True)
class Forest:
    """Differences with their intervals on one scale."""

    rows: Sequence[Markup]
    """One for each comparison."""
    axis: Markup


def forest(comparisons: Sequence[Comparison | None]) -> Forest | None:
    """Intervals of differences around zero; None where there is no difference at all. None in: the reference."""
    known = [c.difference for c in comparisons if c is not None and c.difference is not None]
    effect = next((c.scale.effect for c in comparisons if c is not None), 0.1)
    unit = next((c.scale.unit for c in comparisons if c is not None), "dB")
    if not known:
        return None
    ends = [end for difference in known for end in _ends(difference)]
    low, high = min(-1.5 * effect, *ends), max(1.5 * effect, *ends)

    def x(value: float) -> float:
        return round(EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low), 1)

    ground = Markup(
        f'<rect class="band" x="{x(-effect)}" y="0" width="{round(x(effect) - x(-effect), 1)}" height="{HEIGHT}"/>'
        f'<path class="zero" d="M{x(0)} 0V{HEIGHT}"/>'
    )
    rows = [_svg(_described(c), ground + _drawn(c, x)) for c in comparisons]
    ticks = [tick for tick in MaxNLocator(nbins=4).tick_values(low, high) if low <= tick <= high]
    labels = Markup("").join(
        Markup('<path class="tick" d="M{0} 0V5"/><text x="{0}" y="18">{1}</text>').format(
            x(tick), f"{tick:g}".replace("-", "−")
        )
        for tick in ticks
    )
    return Forest(rows, _svg(f"Scale of the differences, in {unit}", labels))


def share_bar(share: float, description: str) -> Markup:
    """A bar of length `share`, of 1."""
    length = round(max(0.0, min(1.0, share)) * BAR_WIDTH, 1)
    return _bar(description, f'<rect class="share" width="{length}" height="{BAR_HEIGHT}"/>')


def rung_bar(row: RungRow, most: int) -> Markup:
    """Those who went on, and behind them those who were stopped, of `most`."""
    unit = BAR_WIDTH / max(1, most)
    on, stopped = round(row.went_on * unit, 1), round(row.stopped * unit, 1)
    return _bar(
        f"Of {row.reached} trials at epoch {row.epoch}, {row.went_on} went on and {row.stopped} were stopped",
        f'<rect class="share" width="{on}" height="{BAR_HEIGHT}"/>'
        f'<rect class="cut" x="{on}" width="{stopped}" height="{BAR_HEIGHT}"/>',
    )


def _bar(description: str, content: str) -> Markup:
    return Markup(
        '<svg class="bar" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(BAR_WIDTH, BAR_HEIGHT, BAR_WIDTH, BAR_HEIGHT, description, Markup(content))


def _svg(description: str, content: Markup) -> Markup:
    return Markup(
        f'<svg class="forest" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">{content}</svg>'
    )


def _ends(difference: Difference) -> list[float]:
    return [end for end in (difference.low, difference.mean, difference.high) if end is not None]


def _described(comparison: Comparison | None) -> str:
    if comparison is None:
        return "The reference, at zero"
    difference = comparison.difference
    if difference is None:
        return f"{comparison.name}: no difference known"
    words = f"{comparison.name}: {number(difference.mean, 3).text} {comparison.scale.unit}"
    if difference.low is not None and difference.high is not None:
        words += f", interval {number(difference.low, 3).text} to {number(difference.high, 3).text}"
    return f"{words}, {comparison.kind}"


def _drawn(comparison: Comparison | None, x: Callable[[float], float]) -> Markup:
    """An interval with its mean, whose shape says the verdict."""
    if comparison is None:
        return Markup(f'<path class="reference" d="M{x(0)} {_MIDDLE - 6}l6 6l-6 6l-6 -6z"/>')
    difference = comparison.difference
    if difference is None:
        return Markup("")
    middle, drawn = x(difference.mean), ""
    if difference.low is not None and difference.high is not None:
        low, high = x(difference.low), x(difference.high)
        drawn = f'<path class="range" d="M{low} {_MIDDLE}H{high}M{low} {_MIDDLE - 4}v8M{high} {_MIDDLE - 4}v8"/>'
    match comparison.kind:
        case "better":
            shape = f"M{middle - 6} {_MIDDLE + 5}l6 -11l6 11z"
        case "worse":
            shape = f"M{middle - 6} {_MIDDLE - 5}l6 11l6 -11z"
        case "equivalent":
            shape = f"M{middle - 5} {_MIDDLE - 5}h10v10h-10z"
        case _:
            shape = f"M{middle - 5} {_MIDDLE}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
    kind = comparison.kind.replace(" ", "-")
    return Markup(f'<g class="{kind}">{drawn}<path class="mark" d="{shape}"/></g>')
