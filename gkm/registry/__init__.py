"""Weights in, versions of the registered model `gkmnet` out: challengers, a champion, and the one before it."""

from gkm.registry.imported import Imported, import_model
from gkm.registry.promotion import Promotion, Rollback, promote, rollback
from gkm.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    REGISTERED_NAME,
    LoadedModel,
    load,
    register,
    register_best,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "REGISTERED_NAME",
    "Imported",
    "LoadedModel",
    "Promotion",
    "Rollback",
    "import_model",
    "load",
    "promote",
    "register",
    "register_best",
    "rollback",
]
