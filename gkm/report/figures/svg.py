"""What Matplotlib drew in, inline SVG out, whose colours are the page's own (light, dark or print).

Matplotlib draws with stand-in colours that are replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from gkm.study.record.statuses import TrialStatus

SCORE_LEVELS = 7
"""Shades from the worst score to the best."""
_NAMES = ("ink", "muted", "line", "best", "finished", "stopped", "failed", "surface")
COLOURS = {
    name: f"#{index:02x}{index:02x}{index:02x}"
    for index, name in enumerate((*_NAMES, *(f"score-{level}" for level in range(SCORE_LEVELS))), 1)
}
"""Name of a CSS variable of the page -> the colour Matplotlib is given in its place."""
MARKERS: dict[TrialStatus, str] = {"finished": "o", "stopped": "X", "failed": "v", "running": ">", "interrupted": "D"}
PANEL_INCHES = (5.4, 3.5)
PANEL_MARGINS = (0.72, 0.5, 0.15, 0.08)
"""For the labels of a panel: left, bottom, right, top, in inches. To have them measured would double the time."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gkm",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
}


@contextmanager
def figure(
    inches: tuple[float, float], margins: tuple[float, float, float, float] = PANEL_MARGINS
) -> Iterator[tuple[Figure, Callable[..., Markup]]]:
    """A figure, and the function that turns it into SVG given a description and tooltips by id.

    `margins` lie around its axes: left, bottom, right and top, in inches.
    """
    with mpl.rc_context(_STYLE):
        drawn, (left, bottom, right, top) = Figure(figsize=inches), margins
        width, height = inches
        drawn.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)

        def done(description: str, titles: dict[str, str] | None = None) -> Markup:
            text = io.StringIO()
            drawn.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            return _inline(text.getvalue(), description, titles or {})

        yield drawn, done


def _inline(svg: str, description: str, titles: dict[str, str]) -> Markup:
    """Matplotlib's file as an element of a page: page colours and font, ids of its own, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--sans)", svg)
    for gid, title in titles.items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>')
    # Several figures share a page, so an id is made its figure's own by the figure's description.
    prefix = re.sub(r"\W+", "-", description.lower()).strip("-")
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups()  # type: ignore[union-attr]
    head = f'width="{float(width) * 4 / 3:.0f}" height="{float(height) * 4 / 3:.0f}"'
    svg = svg.replace(f'width="{width}pt" height="{height}pt"', head, 1)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1))
