"""A file of limits in; checked settings, which `gkm.registry.judging` applies, out."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gkm.errors import InputError

DEFAULT = Path(__file__).with_name("gates.toml")
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


def _keys(model: Any, parts: Sequence[str | int]) -> list[str]:
    for part in parts:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
