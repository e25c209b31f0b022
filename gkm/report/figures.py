"""A study or kernels in, inline SVG out, whose colours are the page's own (light, dark or print).

Matplotlib draws with stand-in colours that are replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from gkm.report.evidence import Kernels
from gkm.report.tables import kernel_names, long_name, number, short_name

if TYPE_CHECKING:
    from gkm.study.results import StudyResults, TrialRow

COLOURS = {
    name: f"#0{index:x}0{index:x}0{index:x}"
    for index, name in enumerate(("ink", "muted", "line", "best", "finished", "stopped", "failed", "surface"), 1)
}
"""Name of a CSS variable of the page -> the colour Matplotlib is given in its place."""
MARKERS = {"finished": "o", "stopped": "X", "failed": "v", "running": ">"}
PANEL_INCHES = (5.4, 3.5)
SMALL_PANEL_INCHES = (2.3, 1.9)
MOST_LABELLED_LINES = 12
TILE_COLUMNS = 7

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gkm",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "figure.constrained_layout.use": True,
}


def validation_curves(study: StudyResults, blurred_psnr: float | None = None) -> Markup:
    """Validation PSNR against the epoch, one line per trial; a dashed line for the blurred input if it is known."""
    with _figure(PANEL_INCHES) as (figure, done):
        axes = figure.subplots()
        if blurred_psnr is not None:
            axes.axhline(blurred_psnr, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                f"blurred input, {blurred_psnr:.2f}",
                (1, blurred_psnr),
                xycoords=("axes fraction", "data"),
                xytext=(-2, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=10,
                color=COLOURS["muted"],
            )
        _draw_trials(study, axes, "val/psnr", labelled=len(study.trials) <= MOST_LABELLED_LINES)
        axes.margins(y=0.1)
        axes.set_ylabel("validation PSNR (dB)")
        return done("Validation PSNR against the epoch, one line per trial.", _titles(study, "val/psnr"))


def loss_curves(study: StudyResults) -> Markup:
    """Training loss against the epoch on a logarithmic scale, one line per trial."""
    with _figure(PANEL_INCHES) as (figure, done):
        axes = figure.subplots()
        _draw_trials(study, axes, "train/loss")
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("training loss")
        return done("Training loss against the epoch, one line per trial.", _titles(study, "train/loss"))


def parameter_panels(study: StudyResults) -> list[tuple[str, Markup]]:
    """One panel per searched parameter with two values or more: the parameter against the best validation PSNR."""
    trials = [trial for trial in study.trials if trial.best_epoch is not None]
    panels = []
    for path in study.parameters:
        values = [(trial.parameters[path], trial) for trial in trials if path in trial.parameters]
        if len({str(value) for value, _ in values}) > 1:
            panels.append((long_name(path), _parameter_panel(path, values, study.best)))
    return panels


def kernel_tiles(kernels_KMM: Any, labels: Sequence[str], description: str, *, signed: bool = False) -> Markup:
    """Kernels as tiles, each scaled to its own largest weight; signed ones in a diverging palette around zero."""
    rows = math.ceil(len(kernels_KMM) / TILE_COLUMNS)
    with _figure((TILE_COLUMNS * 0.72, rows * 0.95)) as (figure, done):
        for tile, axes in enumerate(figure.subplots(rows, TILE_COLUMNS, squeeze=False).flat):
            axes.axis("off")
            if tile < len(kernels_KMM):
                kernel = np.asarray(kernels_KMM[tile], dtype=float)
                peak = float(np.abs(kernel).max()) or 1.0
                palette, low = ("PuOr", -peak) if signed else ("cividis", 0.0)
                axes.imshow(kernel, cmap=palette, vmin=low, vmax=peak, interpolation="nearest")
                axes.set_title(labels[tile], fontsize=8.5, pad=2, color=COLOURS["muted"])
        return done(description)


def kernel_figures(kernels: Kernels) -> list[tuple[str, Markup]]:
    """The bank alone, or what learning started from, what it came to, and the difference (Figure 4 of the paper)."""
    labels = kernel_names(len(kernels.start_KMM), kernels.sigmas_pixels)
    signed = bool((np.asarray(kernels.start_KMM) < 0).any())
    if kernels.learned_KMM is None:
        tiles = kernel_tiles(kernels.start_KMM, labels, "The kernels of the Gaussian bank.", signed=signed)
        return [("From above", tiles), ("Through the middle", _profiles(kernels.start_KMM))]
    learned = np.asarray(kernels.learned_KMM)
    both = signed or bool((learned < 0).any())
    change = learned - np.asarray(kernels.start_KMM)
    parts = [f"{part:.1%}" for part in _relative_change(kernels.start_KMM, change)]
    return [
        ("Before training", kernel_tiles(kernels.start_KMM, labels, "Kernels before training.", signed=both)),
        ("After training", kernel_tiles(learned, labels, "Kernels after training.", signed=both)),
        ("Change, as a part of the kernel", kernel_tiles(change, parts, "Change of each kernel.", signed=True)),
    ]


def _profiles(kernels_KMM: Any) -> Markup:
    with _figure(PANEL_INCHES) as (figure, done):
        axes = figure.subplots()
        middle = np.asarray(kernels_KMM)[:, kernels_KMM.shape[1] // 2]
        reach = middle.shape[1] // 2
        for index, row in enumerate(middle):
            shade = 1 - 0.75 * index / max(1, len(middle) - 1)
            axes.plot(
                range(-reach, reach + 1),
                row / (row[reach] or 1.0),
                color=COLOURS["finished"],
                alpha=shade,
                linewidth=1.5,
            )
        axes.set_xlabel("distance from the centre (pixels)")
        axes.set_ylabel("weight, relative to the centre")
        return done("Weights of every kernel along the row through its centre, relative to the centre.")


def _relative_change(start_KMM: Any, change_KMM: Any) -> Iterator[float]:
    for start, change in zip(start_KMM, change_KMM, strict=True):
        yield float(np.linalg.norm(change) / (np.linalg.norm(start) or 1.0))


def _draw_trials(study: StudyResults, axes: Any, metric: str, *, labelled: bool = False) -> None:
    """Other trials behind, the best in front; the marker at a line's end says how the trial ended."""
    best = study.best
    drawn = sorted(study.trials, key=lambda trial: (trial is best, trial.status == "finished"))
    for trial in drawn:
        points = _curve(trial, metric)
        if not points:
            continue
        colour = _colour(trial, best)
        epochs, values = zip(*points, strict=True)
        width = 2.4 if trial is best else 1.3
        (line,) = axes.plot(epochs, values, color=colour, linewidth=width)
        line.set_gid(f"trial-{trial.number}")
        axes.plot(epochs[-1:], values[-1:], MARKERS.get(trial.status, "o"), color=colour, markersize=6)
        if labelled:
            weight = "bold" if trial is best else "normal"
            text = axes.annotate(
                str(trial.number), (epochs[-1], values[-1]), (6, 0), textcoords="offset points", va="center"
            )
            text.set(fontsize=9.5, color=colour, fontweight=weight)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))


def _curve(trial: TrialRow, metric: str) -> list[tuple[float, float]]:
    points = [(entry["epoch"], entry[metric]) for entry in trial.history if metric in entry]
    return [point for point in points if math.isfinite(point[1])]


def _titles(study: StudyResults, metric: str) -> dict[str, str]:
    """Tooltips: id of a line -> what it is."""
    titles = {}
    for trial in study.trials:
        if points := _curve(trial, metric):
            settings = ", ".join(f"{short_name(path)} {value}" for path, value in trial.parameters.items())
            last = number(points[-1][1], 4 if metric == "train/loss" else 2).text
            titles[f"trial-{trial.number}"] = f"Trial {trial.number}, {trial.status}, last {last}: {settings}"
    return titles


def _parameter_panel(path: str, values: Sequence[tuple[object, TrialRow]], best: TrialRow | None) -> Markup:
    with _figure(SMALL_PANEL_INCHES) as (figure, done):
        axes = figure.subplots()
        numbers = [value for value, _ in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        numeric = len(numbers) == len(values)
        choices = sorted({value for value, _ in values}, key=lambda value: value if numeric else str(value))  # type: ignore[arg-type,return-value]
        few = len(choices) <= 6
        for value, trial in sorted(values, key=lambda entry: entry[1] is best):
            place: Any = choices.index(value) if few else value
            colour, size = _colour(trial, best), 8 if trial is best else 6
            axes.plot([place], [trial.score], MARKERS.get(trial.status, "o"), color=colour, markersize=size, alpha=0.9)
        if few:
            names = [f"{choice:.3g}" if isinstance(choice, float) else str(choice) for choice in choices]
            axes.set_xticks(range(len(choices)), [name.replace("_", "\n") for name in names], fontsize=9)
            axes.set_xlim(-0.5, len(choices) - 0.5)
        elif min(numbers) > 0 and max(numbers) / min(numbers) > 5:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        return done(f"Validation PSNR of every trial against {long_name(path)}.")


def _colour(trial: TrialRow, best: TrialRow | None) -> str:
    if trial is best:
        return COLOURS["best"]
    return COLOURS.get(trial.status, COLOURS["stopped"])


@contextmanager
def _figure(inches: tuple[float, float]) -> Iterator[tuple[Figure, Callable[..., Markup]]]:
    """A figure, and the function that turns it into SVG given a description and tooltips by id."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=inches)

        def done(description: str, titles: dict[str, str] | None = None) -> Markup:
            text = io.StringIO()
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            return _inline(text.getvalue(), description, titles or {})

        yield figure, done


def _inline(svg: str, description: str, titles: dict[str, str]) -> Markup:
    """Matplotlib's file as an element of a page: page colours and font, ids of its own, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--sans)", svg)
    for gid, title in titles.items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>')
    # Several figures share a page, so an id is made its figure's own by the figure's description.
    prefix = re.sub(r"\W+", "-", description.lower()).strip("-")
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups()  # type: ignore[union-attr]
    head = f'width="{float(width) * 4 / 3:.0f}" height="{float(height) * 4 / 3:.0f}"'
    svg = svg.replace(f'width="{width}pt" height="{height}pt"', head, 1)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1))
