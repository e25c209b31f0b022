"""A finished study in, or several, or the tables of an evaluation; one self-contained HTML page out.

Each name is imported when it is first used: whether a page is current is known long before torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gkm.report.evidence import Baseline, Example, Inside, Kernels, NoiseScores, ReportSummary, TestScores
    from gkm.report.gather import report_study
    from gkm.report.overview import build_overview
    from gkm.report.page import build_page
    from gkm.report.scores_page import build_scores_page
    from gkm.report.tables.plain import noise_on_page

_MODULES = {
    "Baseline": "evidence",
    "Example": "evidence",
    "Inside": "evidence",
    "Kernels": "evidence",
    "NoiseScores": "evidence",
    "ReportSummary": "evidence",
    "TestScores": "evidence",
    "build_overview": "overview",
    "build_page": "page",
    "build_scores_page": "scores_page",
    "noise_on_page": "tables.plain",
    "report_study": "gather",
}

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
