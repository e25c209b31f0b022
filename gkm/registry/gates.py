"""A file of limits and what was measured of a version in; each gate, passed or failed, with its figures, out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gkm.errors import InputError
from gkm.registry.history import level_of

if TYPE_CHECKING:
    from gkm.registry.measuring import Measured, OnData
    from gkm.study.insight.statistics import Difference

DEFAULT = Path(__file__).with_name("gates.toml")
FEW_SCENES = 6
"""From so many scenes on each is averaged first; fewer are no sample, and their photographs are taken one by one."""
Fact = Literal["git_commit", "data", "seed"]
_Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quality(_Part):
    """What has to be gained, in dB of PSNR."""

    margin_db: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.95


class Noise(_Part):
    """What may be lost with noise."""

    sigmas_8bit: Annotated[list[Annotated[float, Field(gt=0, le=255)]], Field(max_length=8)] = []
    tolerance_db: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0


class Cost(_Part):
    """What a version may take; None: anything."""

    max_parameters: Annotated[int, Field(gt=0)] | None = None
    max_multiply_adds_per_pixel: _Limit | None = None
    max_seconds_per_megapixel: _Limit | None = None
    max_memory_bytes: Annotated[int, Field(gt=0)] | None = None


class Provenance(_Part):
    """What has to be known of the training."""

    known: list[Fact] = []


class Weights(_Part):
    """What is asked of the files."""

    hash: bool = False
    clean_process: bool = False


class Gates(_Part):
    """All limits; what a file leaves out is not asked for, but quality."""

    quality: Quality = Quality()
    noise: Noise = Noise()
    cost: Cost = Cost()
    provenance: Provenance = Provenance()
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _memory_has_a_process(self) -> Gates:
        if self.cost.max_memory_bytes is not None and not self.weights.clean_process:
            raise ValueError("cost.max_memory_bytes is measured in the clean process: set weights.clean_process = true")
        return self


@dataclass(frozen=True)
class Gate:
    """One limit, and whether it is kept."""

    name: str
    passed: bool
    figures: str
    """What was measured and what was asked for."""


def read_gates(path: Path | None = None) -> Gates:
    """The limits in the TOML file `path`, or the default ones.

    Raises InputError where there is no such file, it is no TOML, or it says something that is not known.
    """
    path = path or DEFAULT
    try:
        return Gates.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file of gates with --gates") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: is no TOML ({error}); copy {DEFAULT} and change its figures") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        match first["type"]:
            case "extra_forbidden":
                what = f"is not known; there are {', '.join(_keys(Gates, first['loc'][:-1]))}"
            case "value_error":
                what = str(first["msg"]).removeprefix("Value error, ")
            case _:
                what = f"= {first['input']!r}: {first['msg'].lower()}"
        raise InputError(f"{path}: {f'{key} {what}'.strip()}; correct the file") from None


def difference(on: OnData, look: int, level: float) -> Difference:
    """What `on` says was gained in PSNR, with its interval at the `look`-th look at these photographs.

    Photographs are paired. Where there are FEW_SCENES scenes or more, and fewer than photographs, each scene is first
    averaged.
    """
    from gkm.study.insight.statistics import paired_difference

    arm, reference = (_units(on, scores) for scores in (on.psnr, on.opponent_psnr))
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
    scenes = "scenes" if len(_groups(on)) < len(on.psnr) else "photographs"
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


def _groups(on: OnData) -> list[list[int]]:
    """The photographs that count as one, by index."""
    scenes: dict[str, list[int]] = {}
    for index, scene in enumerate(on.scenes):
        scenes.setdefault(scene, []).append(index)
    return list(scenes.values()) if len(scenes) >= FEW_SCENES else [[index] for index in range(len(on.scenes))]


def _units(on: OnData, scores: Sequence[float]) -> list[float]:
    return [sum(scores[index] for index in group) / len(group) for group in _groups(on)]


def _keys(model: Any, parts: Sequence[str | int]) -> list[str]:
    for part in parts:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
