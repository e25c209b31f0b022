"""A place in a row in; the colour, mark and dashes by which a series is told from the others out.

Each series differs from its neighbours in more than its colour, for eyes and printers that see few of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from gkm.report.figures.svg import COLOURS

_COLOURS = ("best", "finished", "failed", "ink")
_SHAPES = {
    "o": "M13 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "s": "M13.5 2.5h7v7h-7z",
    "^": "M17 1.5l4.5 8h-9z",
    "D": "M17 1l5 5l-5 5l-5 -5z",
    "v": "M17 10.5l4.5 -8h-9z",
}
"""Matplotlib's marker -> the same in a legend of 34 x 12 pixels."""
_DASHES = ((), (5.0, 2.0), (2.0, 1.5))


@dataclass(frozen=True)
class Style:
    """How a series is drawn."""

    name: str
    """Of its colour, as the page's style sheet has it."""
    marker: str = ""
    dashes: tuple[float, ...] = ()
    """Lengths drawn and left out in turn, in widths of the line; none for a line without gaps."""

    @property
    def colour(self) -> str:
        """What Matplotlib is given."""
        return COLOURS[self.name]

    @property
    def linestyle(self) -> str | tuple[int, tuple[float, ...]]:
        return (0, self.dashes) if self.dashes else "-"

    @property
    def key(self) -> Markup:
        """A piece of the line with its mark, for a legend."""
        dashes = " ".join(f"{2 * length:g}" for length in self.dashes) or "none"
        mark = Markup('<path d="{}" fill="var(--{})"/>').format(_SHAPES[self.marker], self.name) if self.marker else ""
        return Markup(
            '<svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><path d="M0 6H34" '
            'stroke="var(--{})" stroke-width="2" stroke-dasharray="{}"/>{}</svg>'
        ).format(self.name, dashes, mark)


BLURRED_STYLE = Style("muted", dashes=(4.0, 3.0))
"""Of the photographs as they are."""


def style_of(place: int) -> Style:
    """The style of the series at `place`, from 0; the first sixty are all different."""
    return Style(
        _COLOURS[place % len(_COLOURS)],
        list(_SHAPES)[place % len(_SHAPES)],
        _DASHES[place % len(_DASHES)],
    )
