"""Summaries and published figures in; lines of a table out, each marked as measured, published or not measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gkm.scoring.published import PIXELS, SOURCES, Published
from gkm.scoring.summary import Gain, Summary

Origin = Literal["measured", "published", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row; what is None is not known, or has no meaning for it."""

    model: str
    origin: Origin
    data: str = ""
    noise_sigma_8bit: float | None = None
    photographs: int | None = None
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    gains: Mapping[str, Gain] = field(default_factory=dict)
    parameters: float | None = None
    macs: float | None = None
    """Multiply-adds of a photograph, by definition."""
    paper_gflops: float | None = None
    """Billions of operations as the paper counts them."""
    pixels: int | None = None
    """Of the photograph that these two are for."""
    model_bytes: float | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    device: str = ""
    trained_on: str = ""
    version: int | None = None
    run_id: str | None = None
    source: str = ""
    """Of published figures."""

    @property
    def macs_per_pixel(self) -> float | None:
        """Multiply-adds by definition."""
        return None if self.macs is None or self.pixels is None else self.macs / self.pixels

    @property
    def paper_macs_per_pixel(self) -> float | None:
        """Multiply-adds as the paper counts them, for comparisons with published ones."""
        return None if self.paper_gflops is None or self.pixels is None else self.paper_gflops * 1e9 / self.pixels


@dataclass(frozen=True)
class ScoreTable:
    """What is shown together."""

    title: str
    lines: Sequence[Line]
    notes: Sequence[str] = ()
    """Sentences below it."""


def measured(summary: Summary, model: str | None = None) -> Line:
    """The line of a summary; `model`: how to call it here."""
    cell, takes = summary.cell, summary.complexity
    on_cpu = summary.device.partition(":")[0] == "cpu"
    return Line(
        model=model or cell.subject.label,
        origin="measured",
        data=cell.place.label,
        noise_sigma_8bit=cell.noise_sigma_8bit,
        photographs=summary.photographs,
        psnr=summary.means["psnr"],
        ssim=summary.means["ssim"],
        lpips=summary.means["lpips"],
        gains=summary.gains,
        parameters=None if takes is None else takes.parameters,
        macs=None if takes is None else takes.macs,
        paper_gflops=None if takes is None else takes.paper_gflops,
        pixels=None if takes is None else summary.pixels,
        model_bytes=None if takes is None else takes.model_bytes,
        cpu_seconds=summary.seconds if on_cpu else None,
        gpu_seconds=None if on_cpu else summary.seconds,
        device=summary.device,
        trained_on=summary.trained_on,
        version=cell.subject.version,
        run_id=cell.subject.run_id,
    )


def published(row: Published) -> Line:
    """The line of a published figure."""
    millions, megabytes = row.parameters_millions, row.model_megabytes
    return Line(
        model=row.model,
        origin="published",
        data=row.data,
        noise_sigma_8bit=row.noise_sigma_8bit,
        psnr=row.psnr,
        ssim=row.ssim,
        lpips=row.lpips,
        parameters=None if millions is None else millions * 1e6,
        paper_gflops=row.gflops,
        pixels=None if row.gflops is None else PIXELS,
        model_bytes=None if megabytes is None else megabytes * 1e6,
        cpu_seconds=row.cpu_seconds,
        gpu_seconds=row.gpu_seconds,
        source=row.source,
    )


def timing_notes(lines: Iterable[Line]) -> list[str]:
    """A sentence on what the measured seconds were taken on, for each device."""
    timed = (line for line in lines if line.origin == "measured" and (line.cpu_seconds or line.gpu_seconds))
    names = dict.fromkeys(line.device.removeprefix("cpu: ") for line in timed if line.device not in ("", "cpu"))
    return [f"Seconds: the median over the photographs, on {name}." for name in names]


def source_notes(lines: Iterable[Line]) -> list[str]:
    """A sentence on where the published lines come from, for each source."""
    sources = dict.fromkeys(line.source for line in lines if line.origin == "published")
    return [f"† published, measured by others with a protocol of their own: {SOURCES[key]}." for key in sources]
