"""A study in; what its trials reach with their multiply-adds, and its model beside published ones, as figures out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from gkm.config import NetworkConfig
from gkm.evaluation import mean_scores
from gkm.networks import build
from gkm.networks.complexity import operations
from gkm.report.claims import claim_notes, claims_of, published_lines, where_published
from gkm.report.evidence import TestScores
from gkm.report.figures.search_figures import front_panels
from gkm.report.figures.series import BLURRED_STYLE, style_of
from gkm.report.figures.tradeoff import Level, Mark, tradeoff
from gkm.report.tables.gains import around, paired
from gkm.report.tables.study_table import has_score
from gkm.study.design.objective import COMPLEXITY_METRICS, Objective
from gkm.study.record.results import StudyResults, TrialRow
from gkm.study.record.statuses import SCORED

MOST_MEASURED = 60
"""So many different networks are counted for a page; of a larger study those of its best trials."""
COST = Objective("multiply_adds", *COMPLEXITY_METRICS["multiply_adds"])
PUBLISHED_ON = "dpd"
"""Data set whose published figures are shown: that of the paper's comparisons."""
MODEL = "this study’s model"
_SIDE_PIXELS, _MOST_COMPUTED_CHANNELS = 64, 32
"""Up to so many channels an image of that side is computed sooner than its shapes are worked out."""


@dataclass(frozen=True)
class PixelCost:
    """Multiply-adds of a network for each pixel."""

    macs: float
    """By definition."""
    paper: float
    """As the paper counts them (docs/fidelity.md)."""


@lru_cache(maxsize=512)
def pixel_cost(model: NetworkConfig) -> PixelCost:
    """What networks of these settings take, whatever their weights."""
    side = max(_SIDE_PIXELS, model.smallest_crop_pixels)
    device = "cpu" if model.first_channels <= _MOST_COMPUTED_CHANNELS else "meta"
    with torch.random.fork_rng(devices=[]):
        counted = operations(build(model), side, side, device)
    return PixelCost(counted.macs / side**2, counted.paper / side**2)


def cost_section(study: StudyResults, tests: TestScores, dataset: str) -> dict[str, Any]:
    """The figures of quality against multiply-adds: trials on validation, and the model beside published ones on test.

    Those that have nothing to show are left out.
    """
    lines, best = published_lines(PUBLISHED_ON), study.best
    mark = None if best is None else _mark(best, tests)
    panels, levels = front_panels(with_costs(study)), _levels(tests)
    count = len(tests.blurred)
    where = f"{count} test photograph{'s' if count > 1 else ''}" + (f", {dataset}" if dataset else "")
    elsewhere = where_published(lines)
    return {
        "costs_shown": bool(panels) or mark is not None,
        "cost_panels": panels,
        "cost_on_test": mark and tradeoff([mark], levels, claims_of(lines), where=where, elsewhere=elsewhere),
        "cost_legend": [(one.style.key, one.name) for one in (mark, *levels) if one is not None],
        "published_where": elsewhere,
        "cost_notes": claim_notes(lines),
    }


def with_costs(study: StudyResults) -> StudyResults:
    """The study as if it had been searched by its first objective and by multiply-adds.

    By the first one alone where multiply-adds are an objective already, or where those of all trials are the same.
    """
    first = study.objectives[0]
    if COST.metric in (objective.metric for objective in study.objectives):
        return replace(study, objectives=(first,))
    trials = _counted(study)
    differ = len({trial.complexity[COST.metric] for trial in trials}) > 1
    return replace(study, trials=trials, objectives=(first, COST) if differ else (first,))


def _counted(study: StudyResults) -> tuple[TrialRow, ...]:
    """The trials with a score whose network's multiply-adds are known, or can be had."""
    sign = -1 if study.mode == "max" else 1
    scored = [trial for trial in study.trials if trial.status in SCORED and has_score(trial)]
    counted: dict[int, TrialRow] = {}
    measured: set[NetworkConfig] = set()
    for trial in sorted(scored, key=lambda trial: (sign * trial.score, trial.number)):
        known = dict(trial.complexity)
        if COST.metric not in known:
            if trial.config.model not in measured and len(measured) == MOST_MEASURED:
                continue
            measured.add(trial.config.model)
            known[COST.metric] = pixel_cost(trial.config.model).macs
        counted[trial.number] = replace(trial, complexity=known)
    return tuple(counted[number] for number in sorted(counted))


def _mark(best: TrialRow, tests: TestScores) -> Mark | None:
    """The study's model on its test photographs; None where their mean is not finite."""
    psnr = mean_scores(tests.restored)["psnr"]
    if not math.isfinite(psnr):
        return None
    low, high = around(psnr, paired("psnr", tests.blurred, tests.restored))
    operations = pixel_cost(best.config.model).paper
    return Mark(name=MODEL, operations=operations, psnr=psnr, low=low, high=high, style=style_of(0))


def _levels(tests: TestScores) -> list[Level]:
    """What is no network."""
    levels = [Level(name="blurred input", psnr=mean_scores(tests.blurred)["psnr"], style=BLURRED_STYLE)]
    if tests.baseline is not None:
        psnr = mean_scores(tests.baseline.scores)["psnr"]
        levels.append(Level(name=tests.baseline.name, psnr=psnr, style=style_of(1)))
    return [level for level in levels if math.isfinite(level.psnr)]
