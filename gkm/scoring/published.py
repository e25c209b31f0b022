"""`published.csv` in, the figures of Tables 1 to 5 of GKMNet's paper and of later work out, each with its source.

They are what others measured, by protocols of their own (docs/evaluation.md): to be shown beside scores of this
project, marked as published, and never to be averaged with them. What has no source at hand is left out.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gkm.errors import InputError

FIGURES = Path(__file__).with_name("published.csv")
SOURCES: Mapping[str, str] = {
    "gkmnet": "Quan, Wu and Ji, Gaussian Kernel Mixture Network for Single Image Defocus Deblurring, NeurIPS 2021",
    "nrknet": "Quan, Wu and Ji, Neumann Network with Recursive Kernels for Single Image Defocus Deblurring, CVPR 2023; "
    "parameters counted on its released code",
    "drbnet": "Ruan, Chen, Li and Lam, Learning to Deblur using Light Field Generated and Real Defocus Images, "
    "CVPR 2022, as listed on paperswithcode.com/paper/learning-to-deblur-using-light-field",
    "3sdeblur": "Zamir et al., Restormer: Efficient Transformer for High-Resolution Image Restoration, CVPR 2022, as "
    "listed by github.com/lizhangray/3SDeblur beside its own",
    "lakdnet": "Ruan, Bemana, Seidel, Myszkowski and Chen, Revisiting Image Deblurring with an Efficient ConvNet, "
    "arXiv 2302.02234, as listed by github.com/lingyanruan/LaKDNet, without LPIPS",
}
"""Key in the column "source" -> where the figures stand."""
LATER = "later"
"""In the place of a table's number: work after the paper."""
PHOTOGRAPHS = {"dpd": "DPD, 76 test photographs", "rtf": "RTF, 22 photographs"}
"""The data sets with published figures."""
PIXELS = 1680 * 1120
"""Of the photograph for which operations and seconds are published: one of DPD's."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of a published table."""

    table: str
    """"1" to "5" of GKMNet's paper, or "later"."""
    key: str
    """What is called so in `gkm evaluate --tables`; a "+" at its end: trained with noise."""
    model: str
    """As the paper calls it."""
    data: str
    """"dpd" or "rtf"."""
    noise_sigma_8bit: float
    psnr: float
    """In dB."""
    ssim: float
    lpips: float | None
    """None where the source has none."""
    parameters_millions: float | None
    gflops: float | None
    """As the paper counts (docs/fidelity.md)."""
    model_megabytes: float | None
    cpu_seconds: float | None
    """One photograph of 1680 x 1120 pixels on an Intel i5-9600KF."""
    gpu_seconds: float | None
    """The same on an NVIDIA GTX 1080Ti."""
    source: str
    """A key of `SOURCES`."""


@cache
def all_published() -> tuple[Published, ...]:
    """Every figure in the order of the tables."""
    texts = ("table", "key", "model", "data", "source")
    with FIGURES.open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(**{name: text if name in texts else _number(text) for name, text in row.items()})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        )


def of_table(table: str) -> list[Published]:
    """The rows of "1" to "5", or of "later" work."""
    return [row for row in all_published() if row.table == table]


def on_data(data: str, noise_sigmas_8bit: list[float]) -> list[Published]:
    """Figures of whole methods (no ablations) on a data set at these noise levels; InputError for an unknown one."""
    if data not in PHOTOGRAPHS:
        raise InputError(f"--published {data}: no figures are known of it; choose from {', '.join(PHOTOGRAPHS)}")
    methods = [row for row in all_published() if row.table in ("1", "2", "3", LATER)]
    return [row for row in methods if row.data == data and row.noise_sigma_8bit in noise_sigmas_8bit]


def _number(text: str) -> float | None:
    return float(text) if text else None
