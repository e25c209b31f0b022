"""Test scores in, rows of text and what came out, in one paragraph, out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from gkm.evaluation import mean_scores
from gkm.report.evidence import NoiseScores, TestScores
from gkm.report.tables.cells import NOTHING, Cell, difference, number
from gkm.report.tables.gains import METRICS, interval_text, paired
from gkm.report.tables.names import photograph_title
from gkm.report.tables.study_table import PSNR_DIGITS, in_words
from gkm.study.record.results import StudyResults


@dataclass(frozen=True)
class ScoreRow:
    """One photograph: for PSNR, SSIM and LPIPS each the blurred input, the restored photograph and the difference."""

    title: str
    cells: Sequence[Cell]


def score_rows(tests: TestScores) -> list[ScoreRow]:
    """One row per photograph, in the order of the scores."""
    return [
        ScoreRow(photograph_title(before.scene, before.name), _comparison(vars(before), vars(after)))
        for before, after in zip(tests.blurred, tests.restored, strict=True)
    ]


def summary_rows(tests: TestScores) -> list[ScoreRow]:
    """Means over the photographs and the standard deviation of each difference; none for a single photograph."""
    if len(tests.blurred) < 2:
        return []
    spreads = []
    for name, digits, _ in METRICS:
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(tests.blurred, tests.restored, strict=True)]
        changes = [after - before for before, after in pairs if before is not None and after is not None]
        known = len(changes) == len(pairs) and all(map(math.isfinite, changes))
        spreads += [Cell(""), Cell(""), number(stdev(changes), digits) if known else Cell(NOTHING)]
    means = _comparison(mean_scores(tests.blurred), mean_scores(tests.restored))
    return [ScoreRow("Mean", means), ScoreRow("Standard deviation", spreads)]


def baseline_rows(tests: TestScores) -> list[ScoreRow]:
    """The method without learning and the restored photographs, means each against the blurred input."""
    if tests.baseline is None:
        return []
    blurred = mean_scores(tests.blurred)
    methods = ((tests.baseline.name, tests.baseline.scores), ("This study’s model", tests.restored))
    return [ScoreRow(name, _comparison(blurred, mean_scores(scores))) for name, scores in methods]


def noise_rows(noise: Sequence[NoiseScores]) -> list[ScoreRow]:
    """One row per strength of noise, of means over the photographs."""
    return [ScoreRow(f"σ = {entry.sigma_8bit:g}", _comparison(*entry.means)) for entry in noise]


def _comparison(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> list[Cell]:
    cells = []
    for name, digits, higher_is_better in METRICS:
        a, b = before.get(name), after.get(name)
        cells += [number(a, digits), number(b, digits)]
        cells.append(Cell(NOTHING) if a is None or b is None else difference(b - a, digits, higher_is_better))
    return cells


def finding(study: StudyResults, tests: TestScores) -> str:
    """One paragraph that says what came out, for better or worse, and with which settings."""
    best, gain, count = study.best, difference(tests.mean_gain_db, PSNR_DIGITS), len(tests.gains_db)
    before, after = (
        number(mean_scores(scores)["psnr"], PSNR_DIGITS).text for scores in (tests.blurred, tests.restored)
    )
    subject = "The model of this study"
    if best is not None and study.winner is not None:
        alone = len(study.winner.trials) == 1
        subject = f"Trial {best.number}, {'' if alone else 'of the setting that is '}the best on validation,"
    quantity = "PSNR of the one test photograph" if count == 1 else f"mean PSNR of {count} test photographs"
    if gain.verdict is None:
        text = f"{subject} gains nothing that can be told: a blurred test photograph is its sharp one"
    elif gain.verdict == "same":
        text = f"{subject} leaves the {quantity} at the {after} dB of the blurred input"
    else:
        verb = "raises" if gain.verdict == "better" else "lowers"
        text = f"{subject} {verb} the {quantity} from {before} dB, blurred, to {after} dB: {gain.text} dB"
    if tests.gain_spread_db is not None:
        least, most = (difference(limit(tests.gains_db), PSNR_DIGITS).text for limit in (min, max))
        improved = sum(change > 0 for change in tests.gains_db)
        sure = interval_text("psnr", paired("psnr", tests.blurred, tests.restored))
        text += (
            f" ({f'{sure} dB for other photographs; ' if sure else ''}{least} to {most} dB per photograph, "
            f"standard deviation {tests.gain_spread_db:.2f} dB; {improved} of {count} improve)"
        )
    if best is not None and best.parameters:
        text += f". Its settings: {in_words(best)}"
    return text.replace(" dB", "\N{NO-BREAK SPACE}dB").replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}") + "."
