"""A finished study in, or several, one self-contained HTML page out."""

from gkm.report.evidence import Baseline, Example, Inside, Kernels, NoiseScores, TestScores
from gkm.report.gather import ReportSummary, report_study
from gkm.report.overview import build_overview
from gkm.report.page import build_page

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
    "report_study",
]
