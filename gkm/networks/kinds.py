"""The name of a network's kind in, what it is out: its folder in this package, or what another package registered."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from gkm.config import NetworkConfig, register_settings, settings_class
from gkm.networks.network import Kind, Network

_REGISTERED: dict[str, Kind] = {}


def register(settings: type[NetworkConfig], kind: Kind | Callable[[Any], Network]) -> None:
    """Add a network that lives outside of this project: its settings, and its `Kind` or what builds it from them.

    Its name is the default of the field `kind` of `settings`. A package whose module calls this, and names that module
    by an entry point `KIND = "package.module"` of the group "gkm.networks", is found by every process.

    Raises ValueError where the name is taken, or settings have no defaults.
    """
    name = register_settings(settings)
    _REGISTERED[name] = kind if isinstance(kind, Kind) else Kind(build=kind)


def find_kind(name: str) -> Kind:
    """What is known of networks of the kind `name`; ValueError for no such network."""
    if settings_class(name) is None:
        raise ValueError(f"{name}: there is no such network")
    if name not in _REGISTERED:
        # A network of this project is a folder of its name: nothing else needs to know of it.
        _REGISTERED[name] = import_module(f"{__package__}.{name}").KIND
    return _REGISTERED[name]


def kind_of(network: Network) -> Kind:
    """What is known of networks of this kind."""
    return find_kind(network.config.kind)
