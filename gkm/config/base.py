"""What all settings have in common: frozen, checked, unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen settings; derive others with `model_copy(update=...)` or `with_values`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
