"""Settings: JSON or keyword arguments in, frozen and validated `TrialConfig` out.

`TrialConfig` is the only source of settings. Unknown keys and impossible values are refused with the key's path.
This package imports neither torch, ray nor mlflow, so that `--help` stays quick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from gkm.config import fingerprint
from gkm.config.base import NetworkConfig, Settings
from gkm.config.gkmnet import GKMNetConfig
from gkm.config.networks import AnyNetworkConfig, by_kind, kind_of, network_kinds, settings_class
from gkm.config.sections import GPU_PRECISIONS, DataConfig, LossConfig, OptimConfig, TrainingConfig
from gkm.errors import InputError


class TrialConfig(Settings):
    """All settings of one trial."""

    model: AnyNetworkConfig = GKMNetConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _crops_suit_the_network(self) -> Self:
        smallest, schedule = self.model.smallest_crop_pixels, list(self.data.crop_schedule)
        for name, value, side in (
            ("data.crop_pixels", self.data.crop_pixels, self.data.crop_pixels),
            ("data.crop_schedule", schedule, min(self.data.crop_sides)),
        ):
            if side < smallest:
                raise ValueError(
                    f"{name} = {value} is too small: {self.model.kind} with these settings needs "
                    f"crops of at least {smallest} pixels; use larger crops or a network with fewer scales"
                )
        return self

    @model_validator(mode="after")
    def _crops_grow(self) -> Self:
        sides, schedule = self.data.crop_sides, list(self.data.crop_schedule)
        if any(after <= before for before, after in pairwise(sides)):
            raise ValueError(
                f"data.crop_schedule = {schedule}: crops must grow, up to data.crop_pixels = {sides[-1]}; "
                "give smaller sides, in rising order"
            )
        if self.training.epochs < len(sides):
            raise ValueError(
                f"data.crop_schedule = {schedule} needs at least {len(sides)} epochs, one for each size, but "
                f"training.epochs = {self.training.epochs}; train longer or give fewer sizes"
            )
        return self

    @model_validator(mode="after")
    def _fourier_term_is_heard(self) -> Self:
        if self.loss.fourier_weight and (problem := self.model.fourier_problem(self.loss.schedule)) is not None:
            raise ValueError(f"loss.fourier_weight = {self.loss.fourier_weight:g}: {self.model.kind} {problem}")
        return self

    @model_validator(mode="after")
    def _batch_can_be_divided(self) -> Self:
        if (problem := self.division_problem()) is not None:
            raise ValueError(problem)
        return self

    def division_problem(self, workers: int = 1) -> str | None:
        """Why a batch cannot be divided into equal shares of so many workers, and these into pieces; None: it can."""
        batch, pieces = self.data.batch_size, self.training.accumulate
        if batch % (workers * pieces) == 0:
            return None
        many_workers, many_pieces = f"among {workers} workers", f"into training.accumulate = {pieces} pieces"
        into = " and ".join([many_workers] * (workers > 1) + [many_pieces] * (pieces > 1))
        return f"data.batch_size = {batch} cannot be divided {into}; use a multiple of {workers * pieces}"

    def processor_problem(self) -> str | None:
        """Why these settings cannot be trained without a GPU; None: they can."""
        precision = self.training.precision
        if precision not in GPU_PRECISIONS:
            return None
        return f"training.precision = {precision} needs a GPU; set float32 or bfloat16, or train on GPUs"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "settings") -> Self:
        """Validated settings from nested `values`.

        Raises InputError naming `source` and the path of the offending key.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{source}: {_explain(error, kind_of(values.get('model')))}") from None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Validated settings from a JSON file; InputError names the file and the key."""
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give a JSON file of settings") from None
        except ValueError as error:
            raise InputError(f"{path}: is not valid JSON ({error}); correct it or leave --config out") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: must hold a JSON object of settings, but holds a {type(values).__name__}")
        return cls.from_dict(values, source=str(path))

    def with_values(self, values: Mapping[str, Any], source: str = "settings") -> Self:
        """These settings with `values` (dotted path -> value, e.g. {"model.width": 8}) replaced, validated anew.

        Where "model.kind" names another network, all its other settings are that network's defaults, and `values`.
        """
        nested = self.model_dump()
        kind = values.get("model.kind", self.model.kind)
        if kind != self.model.kind:
            nested["model"] = {"kind": kind}
        for key, value in values.items():
            section, _, field = key.partition(".")
            if not field or section not in nested:
                raise InputError(f"{source}: {_no_setting(key, kind)}")
            nested[section][field] = value
        found = type(self).from_dict(nested, source=source)
        # Thousands of trials of a study differ in a section or two: the others are one object.
        return found.model_copy(update={name: own for name, own in self if getattr(found, name) == own})

    def with_assignments(self, assignments: Sequence[str]) -> Self:
        """These settings with "key=value" texts applied (values are JSON, or else plain text)."""
        return self.with_values(parse_assignments(assignments, example="model.width=8"), source="--set")

    def flat(self) -> dict[str, Any]:
        """Dotted path -> value of all settings that a result depends on, in a fixed order."""
        return {
            f"{section}.{field}": value
            for section, fields in self.model_dump(mode="json").items()
            for field, value in fields.items()
            if field not in fingerprint.PRACTICAL.get(section, frozenset())
        }

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, two-space indent, newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when, and only when, `flat` does; see `gkm.config.fingerprint`.

        They stay the same when the project gets new settings.
        """
        return fingerprint.fingerprint(self)


def network_from_dict(values: Any, source: str) -> NetworkConfig:
    """The settings of a network alone, as the section "model" has them; InputError names `source` and the key."""
    try:
        return by_kind(values)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error, kind_of(values), 'model')}") from None


def parse_assignments(assignments: Sequence[str], *, example: str) -> dict[str, Any]:
    """Values by key from "key=value" texts (values are JSON, or else plain text); InputError shows an `example`."""
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: needs the form key=value, for example --set {example}")
        try:
            values[key.strip()] = json.loads(value)
        except ValueError:
            values[key.strip()] = value
    return values


def setting_paths(kind: str | None = None) -> tuple[str, ...]:
    """Dotted paths of all settings, such as "model.width", with the network `kind`; left out: with any network."""
    settings = [settings_class(name) for name in ((kind,) if kind is not None else network_kinds())]
    network = [f"model.{name}" for found in settings if found is not None for name in found.model_fields]
    others = [f"{name}.{field}" for name, fields in TrialConfig().model_dump().items() for field in fields]
    others = [path for path in others if not path.startswith("model.")]
    return tuple(dict.fromkeys([*network, *others]))


def _no_setting(path: str, kind: object) -> str:
    """Why `path` cannot be set, and what can."""
    known = isinstance(kind, str) and settings_class(kind) is not None
    if known and path in setting_paths():
        owners = [name for name in network_kinds() if path in setting_paths(name)]
        return (
            f"{path} is no setting of {kind}, but of {_listed(owners)}; leave it out or choose that network "
            "by model.kind"
        )
    return f"{path} is no setting; {_nearest(path, kind if known else None)}"  # type: ignore[arg-type]


def _nearest(key: str, kind: str | None) -> str:
    from difflib import get_close_matches

    paths = setting_paths(kind)
    last_names = {path.rpartition(".")[2]: path for path in paths}
    last = key.rpartition(".")[2]
    close = get_close_matches(key, paths, n=1, cutoff=0.6) or [
        last_names[name] for name in get_close_matches(last, list(last_names), n=1, cutoff=0.6)
    ]
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(paths)}"


def _explain(error: ValidationError, kind: object, *section: str) -> str:
    """One sentence for the first problem of a pydantic error, of one `section` if given, with the network `kind`."""
    problem = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in (*section, *problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return _no_setting(path, kind)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{path}: {message}" if path else message
    message = message[0].lower() + message[1:]
    return f"{path} = {problem['input']!r}: {message}"


def _listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
