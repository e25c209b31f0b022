"""A study and its test scores in, rows of text for the page out: no number is formatted anywhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import TYPE_CHECKING, Literal

from gkm.config import TrialConfig
from gkm.evaluation import mean_scores
from gkm.report.evidence import NoiseScores, TestScores

if TYPE_CHECKING:
    from gkm.study.results import StudyResults, TrialRow

NOTHING = "–"
PSNR_DIGITS, OTHER_DIGITS = 2, 3
METRICS = (("psnr", PSNR_DIGITS, True), ("ssim", OTHER_DIGITS, True), ("lpips", OTHER_DIGITS, False))
"""Name, digits after the point, whether higher is better."""
Verdict = Literal["better", "worse", "same"]

PARAMETER_NAMES: Mapping[str, tuple[str, str]] = {
    "model.max_kernel_size": ("M", "M, largest kernel in pixels"),
    "model.num_kernels": ("K", "K, kernels in the bank"),
    "model.num_scales": ("T", "T, scales"),
    "model.iterations_per_scale": ("R", "R, iterations at each scale"),
    "model.gcm": ("kernels", "kernels, fixed or learned"),
    "model.width": ("width", "width, channels of the first stage"),
    "loss.schedule": ("loss", "loss schedule"),
    "optim.learning_rate": ("rate", "learning rate"),
    "data.crop_pixels": ("crop", "crop in pixels"),
    "data.batch_size": ("batch", "batch size"),
    "data.noise_sigma_8bit": ("noise", "training noise in 8-bit levels"),
    "training.seed": ("seed", "seed"),
}
"""Setting -> (head of a column, plain words); others are called by the last part of their path."""


@dataclass(frozen=True)
class Cell:
    """A number to show and to sort by; numbers that cannot be had sort last."""

    text: str
    key: float | str | None = None
    verdict: Verdict | None = None
    is_text: bool = False


@dataclass(frozen=True)
class StudyRow:
    """One trial."""

    number: int
    status: str
    is_best: bool
    cells: Sequence[Cell]
    """PSNR, SSIM, epochs, seconds, then one per searched parameter."""
    reason: str


@dataclass(frozen=True)
class ScoreRow:
    """One photograph: for PSNR, SSIM and LPIPS each the blurred input, the restored photograph and the difference."""

    title: str
    cells: Sequence[Cell]


def short_name(path: str) -> str:
    """A setting in a word."""
    return PARAMETER_NAMES.get(path, (path.rpartition(".")[2].replace("_", " "), ""))[0]


def long_name(path: str) -> str:
    """A setting in plain words."""
    return PARAMETER_NAMES.get(path, ("", path.rpartition(".")[2].replace("_", " ")))[1]


def parameter_heads(study: StudyResults) -> list[tuple[str, str, bool]]:
    """For every searched setting: a word, plain words, and whether its values are text."""
    heads = []
    for path in study.parameters:
        cells = (_parameter_cell(trial.parameters.get(path)) for trial in study.trials)
        heads.append((short_name(path), long_name(path), any(cell.is_text for cell in cells)))
    return heads


def study_rows(study: StudyResults) -> list[StudyRow]:
    """All trials, the best first, then by the study's metric; trials without a score come last.

    PSNR and SSIM are those of the epoch whose weights were kept.
    """
    best = study.best
    ranked = sorted(study.trials, key=lambda trial: (trial is not best, -trial.score, trial.number))
    return [StudyRow(t.number, t.status, t is best, _trial_cells(study, t), t.reason or "") for t in ranked]


def _trial_cells(study: StudyResults, trial: TrialRow) -> list[Cell]:
    kept = trial.best_epoch or {}
    return [
        number(kept.get("val/psnr"), PSNR_DIGITS),
        number(kept.get("val/ssim"), OTHER_DIGITS),
        Cell(f"{trial.epochs} / {trial.config.training.epochs}", trial.epochs),
        Cell(duration(trial.seconds), trial.seconds),
        *(_parameter_cell(trial.parameters.get(path)) for path in study.parameters),
    ]


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


def settings_rows(config: TrialConfig, searched: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Every setting as (path, value as one writes it with --set, whether the study searched it)."""
    return [
        (path, value if isinstance(value, str) else json.dumps(value), path in searched)
        for path, value in config.flat().items()
    ]


def photograph_title(scene: str, name: str) -> str:
    """A photograph by its scene, and by its name where that is another."""
    return scene if scene == name else f"{scene} / {name}"


def kernel_names(count: int, sigmas_pixels: Sequence[float] | None) -> list[str]:
    """A word for each of `count` kernels: their sigmas, δ for none; numbers where they are no Gaussians."""
    if sigmas_pixels is None:
        return [f"{index}" for index in range(1, count + 1)]
    return ["δ" if sigma == 0 else f"σ {sigma:.3g}" for sigma in sigmas_pixels]


def number(value: float | None, digits: int) -> Cell:
    """A number with so many digits after the point."""
    if value is None or math.isnan(value):
        return Cell(NOTHING)
    return Cell("∞" if math.isinf(value) else f"{value:.{digits}f}".replace("-", "−"), value)


def difference(value: float, digits: int, higher_is_better: bool = True) -> Cell:
    """A signed number, with the verdict on what is shown: a difference that rounds to zero is no difference."""
    if math.isnan(value):
        return Cell(NOTHING)
    shown = round(value, digits)
    verdict: Verdict = "same" if shown == 0 else "better" if (shown > 0) == higher_is_better else "worse"
    text = "∞" if math.isinf(value) else f"{abs(shown):.{digits}f}"
    return Cell(("±" if shown == 0 else "+" if shown > 0 else "−") + text, value, verdict)


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def finding(study: StudyResults, tests: TestScores) -> str:
    """One paragraph that says what came out, for better or worse, and with which settings."""
    best, gain, count = study.best, difference(tests.mean_gain_db, PSNR_DIGITS), len(tests.gains_db)
    before, after = (
        number(mean_scores(scores)["psnr"], PSNR_DIGITS).text for scores in (tests.blurred, tests.restored)
    )
    subject = "The model of this study" if best is None else f"Trial {best.number}, the best on validation,"
    quantity = "PSNR of the one test photograph" if count == 1 else f"mean PSNR of {count} test photographs"
    if gain.verdict == "same":
        text = f"{subject} leaves the {quantity} at the {after} dB of the blurred input"
    else:
        verb = "raises" if gain.verdict == "better" else "lowers"
        text = f"{subject} {verb} the {quantity} from {before} dB, blurred, to {after} dB: {gain.text} dB"
    if tests.gain_spread_db is not None and all(map(math.isfinite, tests.gains_db)):
        least, most = (difference(limit(tests.gains_db), PSNR_DIGITS).text for limit in (min, max))
        improved = sum(change > 0 for change in tests.gains_db)
        text += (
            f" ({least} to {most} dB per photograph, standard deviation {tests.gain_spread_db:.2f} dB; "
            f"{improved} of {count} improve)"
        )
    if best is not None and best.parameters:
        pairs = ((long_name(path).partition(",")[0], _parameter_cell(value)) for path, value in best.parameters.items())
        settings = (f"{name} = {cell.text}" for name, cell in pairs)
        text += f". Its settings: {', '.join(settings)}"
    return text.replace(" dB", "\N{NO-BREAK SPACE}dB").replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}") + "."


def status_counts(study: StudyResults) -> str:
    """How the trials ended, such as "5 finished, 2 stopped early, 1 failed"."""
    words = {"finished": "finished", "stopped": "stopped early", "failed": "failed", "running": "still running"}
    counts = {status: study.count(status) for status in words}
    return ", ".join(f"{count} {words[status]}" for status, count in counts.items() if count) or "none begun"


def seeds(study: StudyResults) -> list[int]:
    """The distinct seeds of the trials."""
    return sorted({trial.config.training.seed for trial in study.trials})


def _parameter_cell(value: object) -> Cell:
    match value:
        case None:
            return Cell(NOTHING)
        case bool():
            return Cell("yes" if value else "no", str(value), is_text=True)
        case int():
            return Cell(str(value), value)
        case float():
            return Cell(f"{value:.3g}", value)
        case _:
            return Cell(str(value).replace("_", " "), str(value), is_text=True)
