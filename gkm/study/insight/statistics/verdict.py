"""A difference between two settings in; whether one is better, as a word and as a sentence, out."""

from __future__ import annotations

from typing import Literal

from gkm.study.insight.statistics.difference import Difference
from gkm.study.insight.statistics.power import seeds_needed

Verdict = Literal["better", "worse", "equivalent", "undecided", "no verdict"]
"""Of an arm against its reference. Equivalent: less than the difference that matters, whatever its sign."""


def verdict_kind(difference: Difference, *, effect_db: float = 0.1, adjusted_p: float | None = None) -> Verdict:
    """The verdict on an arm, at the level of `difference`.

    No verdict where the difference has a caveat; else equivalent where its whole interval lies within `effect_db` dB
    of zero; else better or worse where the p-value is at most one minus the level. `adjusted_p` is the p-value after
    allowance for several comparisons (see `holm`) and takes the place of the difference's own. Raises `ValueError` for
    settings out of range.
    """
    if not effect_db > 0:
        raise ValueError(f"effect_db: is {effect_db:g}, but must be more than 0; 0.1 dB is usual")
    if adjusted_p is not None and not 0 <= adjusted_p <= 1:
        raise ValueError(f"adjusted_p: is {adjusted_p:g}, but must lie in 0 to 1; see holm()")
    p_value = difference.p_value if adjusted_p is None else adjusted_p
    if difference.caveat or p_value is None or difference.low is None or difference.high is None:
        return "no verdict"
    if -effect_db < difference.low and difference.high < effect_db:
        return "equivalent"
    if p_value > 1 - difference.level:
        return "undecided"
    return "better" if difference.mean > 0 else "worse"


def verdict(
    difference: Difference, *, effect_db: float = 0.1, adjusted_p: float | None = None, comparisons: int = 1
) -> str:
    """The verdict on an arm as a sentence without a capital or a full stop, to be read after the arm's name.

    Parameters are those of `verdict_kind`. Where `adjusted_p` is given, `comparisons` says among how many, so that the
    number of seeds that would show `effect_db` dB (in four of five studies) allows for them as well.
    """
    level = f"{100 * difference.level:g} %"
    p_text = _p_text(difference.p_value if adjusted_p is None else adjusted_p, after_holm=adjusted_p is not None)
    low, high = difference.low, difference.high
    match verdict_kind(difference, effect_db=effect_db, adjusted_p=adjusted_p):
        case "better":
            return f"better by {_db(difference.mean)} dB ({level} interval {_range(low, high)}, {p_text})"
        case "worse":
            flipped = _range(None if high is None else -high, None if low is None else -low)
            return f"worse by {_db(-difference.mean)} dB ({level} interval {flipped}, {p_text})"
        case "equivalent":
            return f"no difference of {effect_db:g} dB or more ({level} interval {_range(low, high)} dB)"
        case "undecided":
            told = f"{_range(low, high)} dB" + (f", {p_text}" if adjusted_p is not None else "")
            return f"no difference shown ({told}); {_remedy(difference, effect_db, comparisons)}"
        case "no verdict":
            alone = "seeds" if difference.photographs == 1 else "photographs"
            bounds = "" if low is None else f", {level} interval {_range(low, high)} over {alone} alone"
            return f"{difference.caveat}: no verdict (difference {_db(difference.mean)} dB{bounds})"


def _remedy(difference: Difference, effect_db: float, comparisons: int) -> str:
    """What would show a difference of `effect_db` dB."""
    if comparisons < 1:
        raise ValueError(f"comparisons: is {comparisons}, but must be 1 or more; it counts this comparison too")
    seeds = seeds_needed(difference, effect_db=effect_db, level=1 - (1 - difference.level) / comparisons)
    if seeds is None:
        return f"more photographs are needed to show {effect_db:g} dB"
    if seeds <= min(difference.seeds, difference.reference_seeds):
        return f"{effect_db:g} dB would probably have shown"
    return f"{seeds} seeds would show {effect_db:g} dB"


def _db(value: float) -> str:
    """Rounded to hundredths of a dB, or to thousandths where that would be nothing; without a negative zero."""
    text = f"{value:.2f}" if abs(value) >= 0.005 else f"{value:.3f}"
    return text if float(text) else "0.00"


def _range(low: float | None, high: float | None) -> str:
    """Both bounds in words."""
    return "unknown" if low is None or high is None else f"{_db(low)} to {_db(high)}"


def _p_text(p_value: float | None, *, after_holm: bool) -> str:
    """A p-value as one writes it."""
    if p_value is None:
        return ""
    text = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    return text + (" after Holm" if after_holm else "")
