"""The union of all networks' settings: a section "model" in, the settings of the network that its `kind` names out.

Adding a network: its settings in a file beside this one, and a line in `_KINDS`. Packages outside of this project add
theirs by `gkm.networks.register`, which they call in a module named by an entry point of the group "gkm.networks":
then every process finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from gkm.config.attnet import AttNetConfig
from gkm.config.base import NetworkConfig
from gkm.config.dmenet import DMENetConfig
from gkm.config.dpdnet import DPDNetConfig
from gkm.config.gkmnet import GKMNetConfig
from gkm.config.nrknet import NRKNetConfig
from gkm.config.srn import SRNConfig

DEFAULT_KIND = "gkmnet"
"""The network where `kind` is left out, as in everything that was written when there was no other."""
ENTRY_POINTS = "gkm.networks"

_KINDS: dict[str, type[NetworkConfig]] = {
    "gkmnet": GKMNetConfig,
    "nrknet": NRKNetConfig,
    "dpdnet": DPDNetConfig,
    "srn": SRNConfig,
    "attnet": AttNetConfig,
    "dmenet": DMENetConfig,
}


def network_kinds() -> tuple[str, ...]:
    """The names of all networks known so far."""
    return tuple(_KINDS)


def settings_class(kind: str) -> type[NetworkConfig] | None:
    """The class of the settings of `kind`, sought among the installed packages' entry points too; None: no network."""
    if kind not in _KINDS:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()
    return _KINDS.get(kind)


def register_settings(settings: type[NetworkConfig]) -> str:
    """Add the settings of another network to the union; returns its kind, the default of the field `kind`.

    Raises ValueError for a kind that is taken, and where a field has no default.
    """
    kind = str(settings.model_fields["kind"].default)
    if required := [name for name, field in settings.model_fields.items() if field.is_required()]:
        raise ValueError(f"{settings.__name__}: {', '.join(required)} has no default, but all settings need one")
    if _KINDS.get(kind, settings) is not settings:
        raise ValueError(f"{settings.__name__}: the kind {kind!r} is that of {_KINDS[kind].__name__}; choose another")
    _KINDS[kind] = settings
    return kind


def kind_of(section: object) -> object:
    """What the section "model" of some settings gives as its kind, whether or not there is such a network."""
    if isinstance(section, NetworkConfig):
        return section.kind
    return section.get("kind", DEFAULT_KIND) if isinstance(section, Mapping) else DEFAULT_KIND


def by_kind(section: Any) -> NetworkConfig:
    """A section "model", validated by the class that its kind names; raises pydantic's ValidationError."""
    if isinstance(section, NetworkConfig):
        return section
    kind = kind_of(section)
    found = settings_class(kind) if isinstance(kind, str) else None
    if found is None:
        reason = PydanticCustomError("network_kind", "There is no such network; the networks are {kinds}", _listed())
        problem = InitErrorDetails(type=reason, loc=("kind",), input=kind)
        raise ValidationError.from_exception_data("model", [problem])
    return found.model_validate(section)


def _listed() -> dict[str, Any]:
    return {"kinds": ", ".join(network_kinds())}


AnyNetworkConfig = Annotated[SerializeAsAny[NetworkConfig], BeforeValidator(by_kind)]
"""The settings of any network, told apart by `kind`."""
