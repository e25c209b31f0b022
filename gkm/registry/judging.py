"""What was measured of a version, and limits, in; each gate, passed or failed, with its figures, out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gkm.registry.gates import Cost, Gates, Noise
from gkm.registry.history import level_of

if TYPE_CHECKING:
    from gkm.registry.measuring import Measured, OnData
    from gkm.study.insight.statistics import Difference


@dataclass(frozen=True)
class Gate:
    """One limit, and whether it is kept."""

    name: str
    passed: bool
    figures: str
    """What was measured and what was asked for."""


Scores = Mapping[str, float]
"""Means over the test photographs: "psnr" in dB and "ssim"."""


@dataclass(frozen=True)
class Promotion:
    """What the gates found."""

    promoted: bool
    reason: str
    """One sentence with the figures."""
    version: int
    opponent: str
    """What it was measured against: "version 2 (champion)" or "the blurred input"."""
    gates: tuple[Gate, ...]
    measured: Measured
    looks: tuple[int, ...]
    """How manieth look at each data set's test photographs this was."""
    override: str = ""
    """Why it was promoted although gates failed."""
    evidence: str | None = None
    """The run of MLflow that has all scores; None for a dry run."""
    event: Mapping[str, Any] | None = None
    """As it is in the history; None for a dry run."""

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that it did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)

    @property
    def scores(self) -> Scores:
        """Of the version, on the first data set."""
        on = self.measured.on[0]
        return {"psnr": sum(on.psnr) / len(on.psnr), "ssim": on.ssim}

    @property
    def opponent_scores(self) -> Scores:
        """Of the opponent, on the first data set."""
        on = self.measured.on[0]
        return {"psnr": sum(on.opponent_psnr) / len(on.psnr), "ssim": on.opponent_ssim}

    @property
    def photographs(self) -> int:
        """How many, in the first data set."""
        return len(self.measured.on[0].psnr)


def difference(on: OnData, look: int, level: float) -> Difference:
    """What `on` says was gained in PSNR, with its interval at the `look`-th look at these photographs.

    Photographs are paired; those of a scene are averaged first where there are several scenes (`scene_groups`).
    """
    from gkm.study.insight.statistics import by_scene, paired_difference

    arm, reference = (by_scene(scores, on.scenes) for scores in (on.psnr, on.opponent_psnr))
    return paired_difference([arm], [reference], level=level_of(look, level))


def judge(measured: Measured, gates: Gates, looks: Sequence[int]) -> list[Gate]:
    """Every gate, in the order of the file; `looks`: how manieth look at each data set's photographs this is."""
    found = [_quality(on, look, gates) for on, look in zip(measured.on, looks, strict=True)]
    found += [gate for on in measured.on for gate in _noise(on, gates.noise)]
    found += _costs(measured, gates.cost)
    for fact in gates.provenance.known:
        value = measured.provenance.get(fact)
        found.append(Gate(fact.replace("_", " "), bool(value), value or "not known"))
    if gates.weights.hash:
        said = "as registered" if measured.hashed else "the weights carry none: they were registered before"
        found.append(Gate("hash", measured.hashed, said))
    if measured.clean is not None:
        found.append(Gate("clean process", measured.clean.problem is None, measured.clean.problem or "the same pixels"))
    return found


def _quality(on: OnData, look: int, gates: Gates) -> Gate:
    quality = gates.quality
    gained = difference(on, look, quality.level)
    bound = f"asked for: more than {quality.margin_db:g}"
    name = f"PSNR on {on.label}"
    if gained.low is None or gained.high is None:
        return Gate(name, False, f"{gained.mean:+.3f} dB on one photograph, which allows no interval; {bound}")
    scenes = "scenes" if gained.photographs < len(on.psnr) else "photographs"
    seen = f", look {look} at them" if look > 1 else ""
    figures = (
        f"{gained.mean:+.3f} dB over {on.opponent}, {100 * gained.level:.4g} % interval {gained.low:+.3f} to "
        f"{gained.high:+.3f} over {gained.photographs} {scenes}{seen}; {bound}"
    )
    return Gate(name, gained.low > quality.margin_db, figures)


def _noise(on: OnData, noise: Noise) -> Iterator[Gate]:
    for sigma in noise.sigmas_8bit:
        own, other = on.noisy[sigma]
        figures = f"{own:.3f} dB, {on.opponent} {other:.3f} dB: {own - other:+.3f}; asked for: -{noise.tolerance_db:g}"
        yield Gate(f"noise {sigma:g} on {on.label}", own - other >= -noise.tolerance_db, f"{figures} or more")


def _costs(measured: Measured, cost: Cost) -> Iterator[Gate]:
    seconds = max(on.seconds_per_megapixel for on in measured.on)
    memory = measured.clean.peak_bytes if measured.clean else 0
    whole: Callable[[float], str] = "{:,.0f}".format
    for name, value, limit, text in (
        ("parameters", measured.parameters, cost.max_parameters, whole),
        ("multiply-adds per pixel", measured.multiply_adds_per_pixel, cost.max_multiply_adds_per_pixel, whole),
        ("seconds per megapixel", seconds, cost.max_seconds_per_megapixel, "{:.2f}".format),
        ("memory", memory, cost.max_memory_bytes, lambda value: f"{value / 1e9:.2f} GB"),
    ):
        if limit is None:
            continue
        if name == "memory" and not memory:
            yield Gate(name, False, f"not measured; asked for: at most {text(limit)}")
        else:
            yield Gate(name, value <= limit, f"{text(value)}; asked for: at most {text(limit)}")
