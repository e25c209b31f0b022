"""What is known of a version in, its model card out: Markdown for the version's description.

A card says what the version does, how well and how surely, on which photographs, under which licence, and what it is
not for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LIMITS = (
    "It undoes defocus. Motion blur, noise and compression are not what it was trained on.",
    "Detail that the blur has removed is guessed: a restored photograph is no evidence of what was there.",
    "The figures hold for photographs like those they were measured on; other cameras, lenses and scenes can differ.",
)
"""What holds for every version."""


@dataclass(frozen=True, kw_only=True)
class CardScore:
    """One metric, a mean over photographs."""

    metric: str
    """Such as "PSNR (dB)"."""
    restored: float
    blurred: float | None = None
    """Of the photographs as they were; None: not measured."""
    interval: tuple[float, float] | None = None
    """Of `restored`, at 95 %; None: not known."""
    digits: int = 2
    """Behind the point."""


def model_card(
    *,
    name: str,
    network: str,
    parameters: int,
    scores: Sequence[CardScore],
    photographs: int,
    data: str,
    licence: str = "",
    source: str = "",
    limits: Sequence[str] = LIMITS,
) -> str:
    """The card as Markdown.

    Args:
        name: of the version, as "gkmnet version 3".
        network: its kind and what tells it from others, in a few words.
        parameters: how many the network has.
        scores: means over `photographs` test photographs; none: the card says that it was not measured.
        data: on what it was trained and measured, with the fingerprint of the data set.
        licence: of the weights; empty: the card says that none is stated.
        source: where the weights come from, if not from a training here.
    """
    parts = [
        f"# {name}",
        f"{network}, {parameters:,} parameters. A photograph out of focus in, the photograph restored out.",
        "## Scores",
        _table(scores, photographs),
        f"## Data\n\n{_plain(data)}",
        f"## Licence\n\n{_plain(licence) or 'Not stated: ask whoever trained it before you pass it on.'}",
        *([f"## Source\n\n{_plain(source)}"] if source else []),
        "## Limits\n\n" + "\n".join(f"- {_plain(limit)}" for limit in limits),
    ]
    return "\n\n".join(parts) + "\n"


def _table(scores: Sequence[CardScore], photographs: int) -> str:
    if not scores:
        return "Not measured on test photographs."
    noun = "photograph" if photographs == 1 else "photographs"
    lines = [
        f"Means over {photographs} test {noun}, with intervals of 95 %.",
        "",
        "| metric | restored | interval | blurred |",
        "|---|---|---|---|",
    ]
    for score in scores:
        low_high = "unknown" if score.interval is None else " to ".join(_number(end, score) for end in score.interval)
        blurred = "not measured" if score.blurred is None else _number(score.blurred, score)
        lines.append(f"| {_plain(score.metric)} | {_number(score.restored, score)} | {low_high} | {blurred} |")
    return "\n".join(lines)


def _number(value: float, score: CardScore) -> str:
    return f"{value:.{score.digits}f}"


def _plain(text: str) -> str:
    """`text` on one line, as it cannot break out of a table or begin a heading."""
    return " ".join(text.split()).replace("|", "\\|").lstrip("#")
