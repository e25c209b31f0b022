"""Scores of settings over seeds and photographs in; differences, their uncertainty and verdicts in plain words out."""

from gkm.study.insight.statistics.difference import Difference, Variances, paired_difference
from gkm.study.insight.statistics.holm import holm
from gkm.study.insight.statistics.interval import Interval, mean_interval
from gkm.study.insight.statistics.power import seeds_needed
from gkm.study.insight.statistics.scenes import by_scene, scene_groups
from gkm.study.insight.statistics.verdict import Verdict, verdict, verdict_kind

__all__ = [
    "Difference",
    "Interval",
    "Variances",
    "Verdict",
    "by_scene",
    "holm",
    "mean_interval",
    "paired_difference",
    "scene_groups",
    "seeds_needed",
    "verdict",
    "verdict_kind",
]
