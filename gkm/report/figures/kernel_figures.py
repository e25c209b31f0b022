"""Kernels in, pictures of them as inline SVG out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from gkm.networks.network import kernel_names
from gkm.report.evidence import Kernels
from gkm.report.figures.svg import COLOURS, PANEL_INCHES, figure

TILE_COLUMNS, TILE_INCHES = 7, 0.72


def kernel_tiles(kernels_KMM: Any, labels: Sequence[str], description: str, *, signed: bool = False) -> Markup:
    """Kernels as tiles, each scaled to its own largest weight; signed ones in a diverging palette around zero."""
    rows = math.ceil(len(kernels_KMM) / TILE_COLUMNS)
    with figure((TILE_COLUMNS * TILE_INCHES, rows * (TILE_INCHES + 0.2)), (0, 0.02, 0, 0.2)) as (drawn, done):
        drawn.subplots_adjust(wspace=0.08, hspace=0.3)
        for tile, kernel in enumerate(np.asarray(kernels_KMM, dtype=float)):
            axes = drawn.add_subplot(rows, TILE_COLUMNS, tile + 1)
            axes.axis("off")
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
    with figure(PANEL_INCHES) as (drawn, done):
        axes = drawn.subplots()
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
