"""Lines of published figures in; what a figure can show of them, and sentences on where they stand, out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gkm.report.figures.tradeoff import Claim
from gkm.scoring.lines import Line, published, source_notes
from gkm.scoring.published import PHOTOGRAPHS, on_data


def published_lines(data: str) -> list[Line]:
    """What was published of whole methods on `data`, without noise."""
    return [published(row) for row in on_data(data, [0.0])]


def claims_of(lines: Iterable[Line]) -> list[Claim]:
    """The published lines that say how many operations a network takes."""
    return [
        Claim(line.model, line.paper_macs_per_pixel, line.psnr)
        for line in lines
        if line.origin == "published" and line.paper_macs_per_pixel is not None and line.psnr is not None
    ]


def where_published(lines: Sequence[Line]) -> str:
    """On which photographs the claims were measured, in a few words."""
    claimed = [line for line in lines if claims_of([line])]
    return ", ".join(dict.fromkeys(PHOTOGRAPHS[line.data] for line in claimed))


def claim_notes(lines: Sequence[Line]) -> list[str]:
    """Where the figures that can be shown stand, and which networks are left out since nobody published their cost."""
    shown = {claim.name for claim in claims_of(lines)}
    kept = [line for line in lines if line.model in shown]
    silent = dict.fromkeys(line.model for line in lines if line.origin == "published" and line.model not in shown)
    left_out = [f"Left out, since no operations are published of them: {', '.join(silent)}."] if silent else []
    return [*source_notes(kept), *left_out]
