"""A finished study in, one self-contained HTML page out."""

from gkm.report.evidence import Baseline, Example, Inside, Kernels, NoiseScores, TestScores
from gkm.report.gather import ReportSummary, report_study
from gkm.report.page import build_page

__all__ = [
    "Baseline",
    "Example",
    "Inside",
    "Kernels",
    "NoiseScores",
    "ReportSummary",
    "TestScores",
    "build_page",
    "report_study",
]
