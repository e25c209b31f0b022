"""The p-values of several comparisons in; p-values that allow for their number out."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """`p_values` adjusted by Holm's step-down procedure, in the same order.

    Calling a difference shown where the adjusted p-value is at most 0.05 keeps the chance of even one false claim among
    all comparisons at 5 % or less, however the comparisons depend on each other. The smallest of m p-values is
    multiplied by m, the next by m - 1 and so on; none gets below its predecessor, none above 1.

    Raises `ValueError` for a p-value outside 0 to 1. Comparisons that have none (`Difference.p_value` is None) are to
    be left out. Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979).
    """
    for place, p_value in enumerate(p_values):
        if not 0 <= p_value <= 1:
            raise ValueError(f"holm: p-value {place} is {p_value}, but must lie in 0 to 1; leave that comparison out")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted
