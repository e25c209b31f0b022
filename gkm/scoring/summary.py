"""Scores of photographs in; their means, gains over the blurred input with intervals, and what a model takes, out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from gkm.networks import measure
from gkm.networks.complexity import Complexity
from gkm.scoring.cells import Cell
from gkm.scoring.rows import Block, Row
from gkm.scoring.subjects import Subject
from gkm.study.insight.statistics import by_scene, paired_difference

METRICS = ("psnr", "ssim", "lpips")


@dataclass(frozen=True)
class Gain:
    """Mean difference to the blurred input, photograph by photograph, with its 95 % interval (Student's t)."""

    mean: float
    low: float | None
    """None with a single photograph."""
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One model on one data set at one noise level."""

    cell: Cell
    photographs: int
    means: Mapping[str, float]
    """"psnr" in dB, "ssim", "lpips"."""
    gains: Mapping[str, Gain]
    """Over the blurred input; none for that itself, nor where a score is infinite."""
    complexity: Complexity | None
    """For one photograph of the most frequent size; None for what is no network."""
    pixels: int
    """Of a photograph of that size."""
    seconds: float | None
    """Median over the photographs."""
    device: str
    trained_on: str = ""
    """See `gkm.scoring.seen.refuse_seen`."""


def summarise(cells: Sequence[Cell], blocks: Sequence[Block], trained_on: Mapping[str, str]) -> list[Summary]:
    """A summary for each cell; `trained_on` has a word for label and data set, as `origin_key` makes the key.

    The blurred input of the same photographs and noise has to be among the cells.
    """
    reference = {
        (cell.place.label, cell.noise_sigma_8bit): block
        for cell, block in zip(cells, blocks, strict=True)
        if cell.subject.kind == "blurred"
    }
    sizes: dict[tuple[str, int, int], Complexity] = {}
    found = []
    for cell, block in zip(cells, blocks, strict=True):
        blurred = reference[cell.place.label, cell.noise_sigma_8bit]
        seconds = [row.seconds for row in block.rows if row.seconds is not None]
        found.append(
            Summary(
                cell=cell,
                photographs=len(block.rows),
                means={metric: fmean(getattr(row, metric) for row in block.rows) for metric in METRICS},
                gains={} if cell.subject.kind == "blurred" else _gains(block, blurred),
                complexity=_complexity(cell.subject, block.rows, sizes),
                pixels=math.prod(_frequent_size(block.rows)),
                seconds=median(seconds) if seconds else None,
                device=block.device,
                trained_on=trained_on.get(origin_key(cell), ""),
            )
        )
    return found


def origin_key(cell: Cell) -> str:
    """Identifies a model and a data set among those of one evaluation."""
    return f"{cell.subject.label}\n{cell.place.label}"


def _gains(block: Block, blurred: Block) -> dict[str, Gain]:
    gains = {}
    for metric in METRICS:
        ours, theirs = ([getattr(row, metric) for row in one.rows] for one in (block, blurred))
        if all(math.isfinite(value) for value in ours + theirs):
            scenes = [row.scene for row in block.rows]
            found = paired_difference([by_scene(ours, scenes)], [by_scene(theirs, scenes)])
            gains[metric] = Gain(found.mean, found.low, found.high)
    return gains


def _complexity(
    subject: Subject, rows: Sequence[Row], known: dict[tuple[str, int, int], Complexity]
) -> Complexity | None:
    if subject.network is None:
        return None
    height, width = _frequent_size(rows)
    key = (subject.identity, height, width)
    if key not in known:
        known[key] = measure(subject.network, height, width)
    return known[key]


def _frequent_size(rows: Sequence[Row]) -> tuple[int, int]:
    """Height and width of most photographs."""
    return Counter((row.height, row.width) for row in rows).most_common(1)[0][0]
