"""cluster/prices.json in; what a cluster costs by the hour out.

The file is meant to be edited: prices change, and yours may be others. A price that is null is unknown, and so is then
the cost of a study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gkm.errors import InputError
from gkm.study.planning.rates import known_devices

PRICES = Path("cluster/prices.json")
"""Where the prices are, in a checkout."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeType(_Entry):
    """A kind of node of a cluster."""

    name: Annotated[str, Field(min_length=1)]
    """What the cluster's file calls it."""
    machine: str = ""
    """What it is, such as g5.xlarge."""
    device: str | None = None
    """What trials run on there, a name of gkm/study/devices.json; None: there are no trials on it."""
    devices: Annotated[int, Field(ge=0)] = 0
    """How many of them it has."""
    always_up: bool = False
    """Whether it is there as long as the cluster is, as a head is."""
    price_per_hour: Annotated[float, Field(ge=0)] | None = None
    """Of one node; None: unknown."""
    source: Annotated[str, Field(min_length=1)]
    """Where the price comes from: list price or your own, on demand or spot, region."""


class Price(_Entry):
    """What one cluster costs."""

    nodes: Annotated[tuple[NodeType, ...], Field(min_length=1)]
    currency: str = ""
    as_of: str = ""
    name: str = ""

    @property
    def worker(self) -> NodeType:
        """The kind of node that trials run on."""
        return next(node for node in self.nodes if node.device is not None)

    def per_hour(self, devices: int) -> float | None:
        """What it costs an hour with `devices` of the worker's devices in use; None: unknown."""
        workers = -(-devices // self.worker.devices)
        total = 0.0
        for node in self.nodes:
            count = workers if node is self.worker else int(node.always_up)
            if count and node.price_per_hour is None:
                return None
            total += count * (node.price_per_hour or 0.0)
        return total

    @property
    def source(self) -> str:
        """Where the prices come from, in words."""
        said = (f"{node.name}: {node.source}" for node in self.nodes if node.always_up or node is self.worker)
        return f"{'; '.join(said)}; as of {self.as_of}"


@dataclass(frozen=True)
class Prices:
    """The prices of all clusters in a file."""

    path: Path
    clusters: Mapping[str, Price]

    def cluster(self, name: str) -> Price:
        """The prices of the cluster of that file name, with or without its .yaml; InputError where there are none."""
        wanted = name.removesuffix(".yaml")
        if wanted not in self.clusters:
            raise InputError(f"{self.path}: has no cluster {name}; there are {', '.join(self.clusters)}")
        return self.clusters[wanted]


class _File(_Entry):
    currency: Annotated[str, Field(min_length=1)]
    as_of: Annotated[str, Field(min_length=1)]
    clusters: dict[str, Price]


def load_prices(path: Path = PRICES) -> Prices:
    """The prices in the file at `path`.

    Raises InputError where it is missing, is no JSON, or has something that is no price.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        found = _File.model_validate(content)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a file like cluster/prices.json with --prices"
        ) from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "it"
        raise InputError(f"{path}: {where}: {problem['msg'].lower()}; see cluster/prices.json") from None
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); correct it") from None
    clusters = {}
    for key, price in found.clusters.items():
        _check(path, key, price)
        common = {"name": key, "currency": found.currency, "as_of": price.as_of or found.as_of}
        clusters[key.removesuffix(".yaml")] = price.model_copy(update=common)
    return Prices(path, clusters)


def _check(path: Path, name: str, price: Price) -> None:
    workers = [node for node in price.nodes if node.device is not None]
    if len(workers) != 1:
        raise InputError(f"{path}: {name} has {len(workers)} kinds of node with a device; it needs exactly one")
    if workers[0].devices < 1:
        raise InputError(f"{path}: {name}: {workers[0].name} has no devices; give at least 1")
    if workers[0].device not in known_devices():
        raise InputError(
            f"{path}: {name}: the speed of a {workers[0].device} is not known; there are {', '.join(known_devices())}"
        )
