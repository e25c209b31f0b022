"""A finished study in, one self-contained HTML page out."""

from gkm.report.evidence import Example, Kernels, NoiseScores, TestScores
from gkm.report.gather import ReportSummary, report_study
from gkm.report.page import build_page

__all__ = ["Example", "Kernels", "NoiseScores", "ReportSummary", "TestScores", "build_page", "report_study"]
