"""Numbers in, text for a cell of a table out: no number is formatted anywhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gkm.study.insight.statistics import Interval

NOTHING = "–"
Verdict = Literal["better", "worse", "same"]


@dataclass(frozen=True)
class Cell:
    """A number to show and to sort by; numbers that cannot be had sort last."""

    text: str
    key: float | str | None = None
    verdict: Verdict | None = None
    is_text: bool = False


def number(value: float | None, digits: int) -> Cell:
    """A number with so many digits after the point."""
    if value is None or math.isnan(value):
        return Cell(NOTHING)
    return Cell("∞" if math.isinf(value) else f"{value:.{digits}f}".replace("-", "−"), value)


def count(value: float | None) -> Cell:
    """A number of things, or of millions of them."""
    if value is None or math.isnan(value):
        return Cell(NOTHING)
    return Cell(f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"), value)


def difference(value: float, digits: int, higher_is_better: bool = True) -> Cell:
    """A signed number, with the verdict on what is shown: a difference that rounds to zero is no difference."""
    if math.isnan(value):
        return Cell(NOTHING)
    shown = round(value, digits)
    verdict: Verdict = "same" if shown == 0 else "better" if (shown > 0) == higher_is_better else "worse"
    text = "∞" if math.isinf(value) else f"{abs(shown):.{digits}f}"
    return Cell(("±" if shown == 0 else "+" if shown > 0 else "−") + text, value, verdict)


def interval(found: Interval | None, digits: int) -> Cell:
    """Where a mean may lie."""
    if found is None or found.low is None or found.high is None:
        return Cell(NOTHING)
    return Cell(f"{number(found.low, digits).text} to {number(found.high, digits).text}", found.high - found.low)


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def setting_value(value: object) -> Cell:
    """The value of a setting."""
    match value:
        case None:
            return Cell(NOTHING)
        case bool():
            return Cell("yes" if value else "no", str(value), is_text=True)
        case int():
            return Cell(str(value), value)
        case float():
            return Cell(f"{value:.3g}", value)
        case _:
            return Cell(str(value).replace("_", " "), str(value), is_text=True)
