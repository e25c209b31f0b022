"""What a report shows besides the study itself: test scores, pictures, kernels, what happens inside the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from gkm.evaluation import ImageScore, mean_scores

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One test photograph to be shown: three pictures of one size, height x width x 3."""

    scene: str
    name: str
    blurred_HW3: Photo  # noqa: N815
    restored_HW3: Photo  # noqa: N815
    sharp_HW3: Photo  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class TestScores:
    """Scores of the blurred input and of the restored photographs, in the same order, with some pictures."""

    __test__ = False  # the name means photographs, not a pytest class

    blurred: Sequence[ImageScore]
    restored: Sequence[ImageScore]
    examples: Sequence[Example] = ()
    noise: Sequence[NoiseScores] = ()
    baseline: Baseline | None = None
    inside: Inside | None = None

    def __post_init__(self) -> None:
        photographs = [[(score.scene, score.name) for score in scores] for scores in (self.blurred, self.restored)]
        if not self.blurred or photographs[0] != photographs[1]:
            raise ValueError("blurred and restored scores must be of the same photographs, at least one, in one order")

    @property
    def gains_db(self) -> list[float]:
        """PSNR gained over the blurred input, per photograph."""
        return [after.psnr - before.psnr for before, after in zip(self.blurred, self.restored, strict=True)]

    @property
    def mean_gain_db(self) -> float:
        return fmean(self.gains_db)

    @property
    def gain_spread_db(self) -> float | None:
        """Standard deviation of the gain over the photographs; None for a single one, or where one is infinite."""
        gains = self.gains_db
        return stdev(gains) if len(gains) > 1 and all(map(math.isfinite, gains)) else None


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A method without learning, on the same photographs in the same order."""

    name: str
    iterations: int
    scores: Sequence[ImageScore]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What the best model did with one of the photographs."""

    scene: str
    name: str
    whole: bool
    """Or only with its middle."""
    results_HW3: Sequence[Photo]  # noqa: N815
    """The result of each scale, from coarse to fine."""
    maps_KHW: Sequence[npt.NDArray[Any]]  # noqa: N815
    """The strongest maps of the finest scale; none for a network without any."""
    map_names: Sequence[str]
    """A word for each of them."""
    maps_note: str
    """What they are."""


@dataclass(frozen=True, kw_only=True)
class NoiseScores:
    """Scores on the test photographs with noise of one strength added."""

    sigma_8bit: float
    blurred: Sequence[ImageScore]
    restored: Sequence[ImageScore]

    @property
    def means(self) -> tuple[dict[str, float], dict[str, float]]:
        """Mean scores of the blurred input and of the restored photographs."""
        return mean_scores(self.blurred), mean_scores(self.restored)


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The kernels that the network filters with, K of at most M x M pixels."""

    start_KMM: npt.NDArray[Any]  # noqa: N815
    """The Gaussian bank, or whatever learning started from."""
    learned_KMM: npt.NDArray[Any] | None = None  # noqa: N815
    """The same kernels after training; None if they are fixed."""
    sigmas_pixels: Sequence[float] | None = None
    """Standard deviations [K] of the Gaussians; None if the start is random."""


@dataclass(frozen=True)
class ReportSummary:
    """Figures worth printing, and where the page is."""

    page: Path
    """Beside it lie its tables, with .md, .tex and .csv in the place of .html."""
    photographs: int
    blurred: dict[str, float]
    """Means over the test photographs: "psnr" in dB, "ssim", "lpips"."""
    restored: dict[str, float]

    @property
    def restored_psnr(self) -> float:
        return self.restored["psnr"]

    @property
    def gain(self) -> float:
        """Mean PSNR gained over the blurred input, in dB."""
        return self.restored["psnr"] - self.blurred["psnr"]

    @property
    def sentence(self) -> str:
        """The gain, to be read by itself."""
        noun = "photograph" if self.photographs == 1 else "photographs"
        return f"On {self.photographs} test {noun}: {self.restored_psnr:.2f} dB, {self.gained}."

    @property
    def gained(self) -> str:
        """The gain in words."""
        return gain_text(self.restored_psnr, self.blurred["psnr"])

    @property
    def lines(self) -> list[str]:
        """Means before and after, and the gain, to be printed."""
        lines = []
        for name, scores in (("blurred", self.blurred), ("restored", self.restored)):
            figures = f"{scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}, LPIPS {scores['lpips']:.3f}"
            lines.append(f"{self.photographs} test photographs {name}: {figures}")
        gain = f"{self.gain:+.2f} dB" if math.isfinite(self.gain) else self.gained
        return [*lines, f"gain: {gain}"]


def gain_text(restored_psnr: float, blurred_psnr: float) -> str:
    """What a mean PSNR gains over that of the blurred photographs, in words; none over infinitely many decibels."""
    if math.isinf(blurred_psnr):
        return "no gain to be told, since a blurred photograph is its sharp one"
    return f"{restored_psnr - blurred_psnr:+.2f} dB over the blurred input"
