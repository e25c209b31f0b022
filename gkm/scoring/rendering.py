"""A table of scores in; Markdown, CSV or LaTeX out, and cells for a terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from gkm.scoring.lines import Line, ScoreTable
from gkm.scoring.summary import METRICS, Gain

HEADINGS = (
    "model", "origin", "data", "σ", "n",
    "PSNR (dB)", "Δ PSNR (95 %)", "SSIM", "Δ SSIM (95 %)", "LPIPS", "Δ LPIPS (95 %)",
    "parameters (M)", "multiply-adds (G)", "GFLOPs, paper's count", "MB", "CPU (s)", "GPU (s)", "trained on",
)  # fmt: skip
SHORT = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 15, 16)
"""The columns that a terminal has room for."""
MARKS = {"measured": "", "published": " †", "not measured": ""}
_CSV_COLUMNS = (
    "table", "model", "origin", "data", "noise_sigma_8bit", "photographs", *METRICS,
    *(f"{metric}_gain{end}" for metric in METRICS for end in ("", "_low", "_high")),
    "parameters", "macs", "paper_gflops", "pixels", "model_bytes", "cpu_seconds", "gpu_seconds", "device", "trained_on",
    "version", "run_id", "source",
)  # fmt: skip
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "σ": r"$\sigma$", "†": r"$^\dagger$", "∞": r"$\infty$",
    "Δ": r"$\Delta$", "δ": r"$\delta$",
    "−": r"$-$", "×": r"$\times$", "±": r"$\pm$", "→": r"$\to$",
    "–": "--", "’": "'", "“": "``", "”": "''",
    "\N{NARROW NO-BREAK SPACE}": r"\,", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def cells_of(line: Line) -> list[str]:
    """One text for each of `HEADINGS`."""
    return [
        line.model + MARKS[line.origin],
        line.origin,
        line.data,
        _text(line.noise_sigma_8bit, "g"),
        _text(line.photographs, "d"),
        _text(line.psnr, ".2f"),
        _gain(line.gains.get("psnr"), 2),
        _text(line.ssim, ".3f"),
        _gain(line.gains.get("ssim"), 3),
        _text(line.lpips, ".3f"),
        _gain(line.gains.get("lpips"), 3),
        _text(line.parameters, ".2f", 1e6),
        _text(line.macs, ".1f", 1e9),
        _text(line.paper_gflops, ".1f"),
        _text(line.model_bytes, ".1f", 1e6),
        _text(line.cpu_seconds, ".3g"),
        _text(line.gpu_seconds, ".3g"),
        line.trained_on,
    ]


def to_markdown(tables: Sequence[ScoreTable]) -> str:
    """All tables, each with its title and notes."""
    return "\n".join(_markdown(table) for table in tables)


def to_latex(tables: Sequence[ScoreTable]) -> str:
    """All tables as floats of the package booktabs."""
    return "\n".join(_latex(table) for table in tables)


def to_csv(tables: Sequence[ScoreTable]) -> str:
    """One line for each of all tables' lines, with every digit."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for line in table.lines:
            values = {name: getattr(line, name) for name in _CSV_COLUMNS if hasattr(line, name)}
            for metric, gain in line.gains.items():
                values |= {
                    f"{metric}_gain": gain.mean,
                    f"{metric}_gain_low": gain.low,
                    f"{metric}_gain_high": gain.high,
                }
            writer.writerow({"table": table.title, **values})
    return out.getvalue()


def _markdown(table: ScoreTable) -> str:
    def row(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"

    lines = [row(HEADINGS), "|" + "---|" * len(HEADINGS), *(row(cells_of(line)) for line in table.lines)]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join([f"## {table.title}", "", *lines, *notes, ""])


def _latex(table: ScoreTable) -> str:
    def row(texts: Sequence[str]) -> str:
        return " & ".join(map(in_latex, texts)) + r" \\"

    body = [row(cells_of(line)) for line in table.lines]
    columns = "lll" + "r" * (len(HEADINGS) - 4) + "l"
    notes = [rf"\par {in_latex(note)}" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{in_latex(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            row(HEADINGS),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def in_latex(text: str) -> str:
    """Text in which nothing is markup."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _text(value: float | None, form: str, unit: float = 1) -> str:
    if value is None:
        return ""
    return "∞" if math.isinf(value) else format(value if unit == 1 else value / unit, form)


def _gain(gain: Gain | None, digits: int) -> str:
    if gain is None:
        return ""
    show: Callable[[float], str] = lambda value: f"{value:+.{digits}f}"  # noqa: E731
    if gain.low is None or gain.high is None:
        return show(gain.mean)
    return f"{show(gain.mean)} [{show(gain.low)}, {show(gain.high)}]"
