"""Weights in, versions of the registered model `gkmnet` out: challengers, a champion, and the one before it."""

from gkm.registry.challengers import Registered, find_registered, register, register_best
from gkm.registry.gates import Gates, read_gates
from gkm.registry.history import events
from gkm.registry.imported import Imported, import_model
from gkm.registry.judging import Gate
from gkm.registry.promotion import Promotion, Rollback, promote, rollback
from gkm.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    REGISTERED_NAME,
    LoadedModel,
    load,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "REGISTERED_NAME",
    "Gate",
    "Gates",
    "Imported",
    "LoadedModel",
    "Promotion",
    "Registered",
    "Rollback",
    "events",
    "find_registered",
    "import_model",
    "load",
    "promote",
    "read_gates",
    "register",
    "register_best",
    "rollback",
]
