"""What is known of a version in, its model card out: Markdown for the version's description.

A card says what the version does, how well and how surely, on which photographs, under which licence, and what it is
not for. It is made when weights are registered; what the gates find is put into it later.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gkm.errors import InputError
from gkm.registry.ledger import REGISTERED_NAME
from gkm.tracking import Tracking, redacted

if TYPE_CHECKING:
    from gkm.networks import Network
    from gkm.training.best import PhotographScore

LIMITS = (
    "It undoes defocus. Motion blur, noise and compression are not what it was trained on.",
    "Detail that the blur has removed is guessed: a restored photograph is no evidence of what was there.",
    "The figures hold for photographs like those they were measured on; other cameras, lenses and scenes can differ.",
)
"""What holds for every version."""
LONGEST = 5000
"""Characters of a description that every store of MLflow keeps."""
_PROMOTION, _DATA = "Promotion", "Data"
"""Headings."""
_TOLD = ("promoted", "refused", "rolled back")
"""Events that a card tells of."""
_METRICS = (("psnr", "PSNR (dB)", 2), ("ssim", "SSIM", 4))
"""Of validation photographs: name, heading, digits."""


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
    split: str = "test",
    summary: str = "",
    licence: str = "",
    source: str = "",
    limits: Sequence[str] = LIMITS,
) -> str:
    """The card as Markdown; passwords in addresses are blotted out.

    Args:
        name: of the weights, as "gkmnet, weights 0123456789ab".
        network: its kind and what tells it from others, in a few words.
        parameters: how many the network has.
        scores: means over `photographs` photographs of `split`; none: the card says that it was not measured.
        data: on what it was trained and measured, with the fingerprint of the data set.
        summary: one sentence that lists of versions show.
        licence: of the weights; empty: the card says that none is stated.
        source: where the weights come from, if not from a training here.
    """
    parts = [
        f"# {_plain(name)}",
        *([_plain(summary)] if summary else []),
        f"{_plain(network)}, {parameters:,} parameters. A photograph out of focus in, the photograph restored out.",
        "## Scores",
        _table(scores, photographs, split),
        f"## {_DATA}\n\n{_plain(data)}",
        f"## Licence\n\n{_plain(licence) or 'Not stated: ask whoever trained it before you pass it on.'}",
        *([f"## Source\n\n{_plain(source)}"] if source else []),
        "## Limits\n\n" + "\n".join(f"- {_plain(limit)}" for limit in limits),
    ]
    return "\n\n".join(parts) + "\n"


def registration_card(
    tracking: Tracking, run: Any, network: Network, *, digest: str, tags: Mapping[str, str], summary: str
) -> str:
    """The card of the weights `digest`, of the MLflow run `run`, when they are registered with `tags`."""
    scores = _validation(tracking, run.info.run_id)
    blurred = _blurred(tracking, run)
    licence = tags.get("gkm.licence", "")
    return model_card(
        name=f"{REGISTERED_NAME}, weights {digest[:12]}",
        summary=summary,
        network=_in_words(network),
        parameters=sum(weights.numel() for weights in network.parameters()),
        scores=[_mean(scores, *metric, blurred) for metric in _METRICS] if scores else [],
        photographs=len(scores),
        split="validation",
        data=_data(run, tags.get("gkm.data", "")),
        licence="" if licence == "not stated" else licence,
        source=tags.get("gkm.source", ""),
    )


def promotion_sentence(event: Mapping[str, Any]) -> str | None:
    """What a card says of an event of the history (see `gkm.registry.history`); None where it says nothing."""
    if event["event"] not in _TOLD:
        return None
    when = str(event["time"])[:19].replace("T", " ")
    return f"{str(event['event']).capitalize()} on {when} UTC: {event.get('reason', '')}."


def with_promotion(card: str, sentence: str, gates: Sequence[tuple[str, bool, str]] = ()) -> str:
    """`card` with what became of the version, and the gates with their figures, in the place of what it said before.

    Without `gates` those that it has stay. The same again changes nothing.
    """
    head, *sections = card.strip().split("\n\n## ")
    old = next((section for section in sections if section.startswith(f"{_PROMOTION}\n")), None)
    if old is not None and _plain(sentence) in old:
        return card
    kept = [section for section in sections if section is not old]
    at = next((index for index, section in enumerate(kept) if section.startswith(f"{_DATA}\n")), len(kept))
    before = old.partition("\n\n")[2] if old is not None and not gates else ""
    made = ""
    for rows in (gates, [gate for gate in gates if not gate[1]], []):
        told = [_plain(sentence), *([_gates(rows)] if rows else []), *([before] if before else [])]
        section = f"{_PROMOTION}\n\n" + "\n\n".join(told)
        made = "\n\n## ".join([head, *kept[:at], section, *kept[at:]]).strip() + "\n"
        if len(made) <= LONGEST:
            return made
    return made[:LONGEST]


def summary_of(description: str) -> str:
    """The sentence of a description that is fit for a list: the first that is no heading."""
    lines = (line.strip() for line in description.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def _table(scores: Sequence[CardScore], photographs: int, split: str) -> str:
    if not scores:
        return f"Not measured on {split} photographs."
    noun = "photograph" if photographs == 1 else "photographs"
    lines = [
        f"Means over {photographs} {split} {noun}, with intervals of 95 %.",
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
    """`text` on one line, as it cannot break out of a table or begin a heading; without passwords."""
    return " ".join(redacted(text).split()).replace("|", "\\|").lstrip("#")


def _gates(gates: Sequence[tuple[str, bool, str]]) -> str:
    rows = [
        f"| {_plain(name)} | {'pass' if passed else 'FAIL'} | {_plain(figures)} |" for name, passed, figures in gates
    ]
    return "\n".join(["| gate | | figures |", "|---|---|---|", *rows])


def _in_words(network: Network) -> str:
    """The kind of a network, and its settings that are not the usual ones."""
    settings, usual = network.config.model_dump(mode="json"), type(network.config)().model_dump(mode="json")
    own = [f"{key} {value}" for key, value in settings.items() if value != usual.get(key)]
    return f"{settings['kind']} ({', '.join(own)})" if own else f"{settings['kind']} with its usual settings"


def _validation(tracking: Tracking, run_id: str) -> list[PhotographScore]:
    """What the weights of a run score on each validation photograph, as far as the run says so."""
    from gkm.training.best import VALIDATION_NAME, parse_scores

    with tempfile.TemporaryDirectory(prefix="gkm-") as temporary:
        try:
            return parse_scores(tracking.download(run_id, VALIDATION_NAME, Path(temporary)).read_bytes())
        except InputError:
            return []


def _blurred(tracking: Tracking, run: Any) -> dict[str, float]:
    """Mean scores of the validation photographs as they are: of the run, or the next one above it that has any."""
    above = run
    while above is not None:
        found = {name: above.data.metrics.get(f"val/blurred_{name}") for name, *_ in _METRICS}
        if any(value is not None for value in found.values()):
            return {name: value for name, value in found.items() if value is not None}
        above = tracking.get(above.data.tags.get("mlflow.parentRunId", ""))
    return {}


def _mean(
    scores: Sequence[PhotographScore], name: str, metric: str, digits: int, blurred: Mapping[str, float]
) -> CardScore:
    from gkm.study.insight.statistics import by_scene, mean_interval

    values = [float(getattr(score, name)) for score in scores]
    interval = None
    if all(map(math.isfinite, values)):
        # Student's interval over photographs, or over scenes where there are many of each.
        samples = by_scene(values, [score.scene for score in scores])
        found = mean_interval([[sample] for sample in samples])
        interval = None if found.low is None or found.high is None else (found.low, found.high)
    mean = sum(values) / len(values)
    return CardScore(metric=metric, restored=mean, blurred=blurred.get(name), interval=interval, digits=digits)


def _data(run: Any, fingerprint: str) -> str:
    """The data set that a run was trained on, by name and fingerprint."""
    for entry in run.inputs.dataset_inputs if run.inputs else ():
        name, _, split = entry.dataset.name.rpartition(" ")
        if split == "train":
            return f"Trained and validated on the data set {name} with the fingerprint {entry.dataset.digest}."
    if fingerprint:
        return f"Trained and validated on the data set with the fingerprint {fingerprint}."
    return "Not known: ask whoever trained it."
