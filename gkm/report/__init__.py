"""A finished study in, or several, or the tables of an evaluation; one self-contained HTML page out."""

from gkm.report.evidence import Baseline, Example, Inside, Kernels, NoiseScores, TestScores
from gkm.report.gather import ReportSummary, report_study
from gkm.report.overview import build_overview
from gkm.report.page import build_page
from gkm.report.scores_page import build_scores_page
from gkm.report.tables.plain import noise_on_page

__all__ = [
    "Baseline",
    "Example",
    "Inside",
    "Kernels",
    "NoiseScores",
    "ReportSummary",
    "TestScores",
    "build_overview",
    "build_page",
    "build_scores_page",
    "noise_on_page",
    "report_study",
]
