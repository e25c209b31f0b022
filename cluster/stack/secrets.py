"""A stack's folder in; its passwords, keys and token out, drawn at the first start and kept in one file of mode 600."""

import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.stack.folder import write_private
from gkm.errors import InputError


def _random() -> str:
    return secrets.token_hex(24)


class Secrets(BaseModel):
    """Everything that opens a door of the stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ray_token: str = Field(default_factory=_random, repr=False)
    mlflow_admin: str = Field(default_factory=_random, repr=False)
    mlflow_gkm: str = Field(default_factory=_random, repr=False)
    mlflow_sessions: str = Field(default_factory=_random, repr=False)
    postgres_admin: str = Field(default_factory=_random, repr=False)
    postgres_mlflow: str = Field(default_factory=_random, repr=False)
    postgres_gkm: str = Field(default_factory=_random, repr=False)
    s3_admin: str = Field(default_factory=_random, repr=False)
    s3_mlflow: str = Field(default_factory=_random, repr=False)
    s3_gkm: str = Field(default_factory=_random, repr=False)
    s3_inside: str = Field(default_factory=_random, repr=False)
    """Signs what SeaweedFS' own servers ask of each other."""


def load_secrets(keys: Path) -> Secrets:
    """The secrets kept in the folder `keys`, drawn now if there are none. InputError where the file is damaged."""
    path = keys / "secrets.json"
    if not path.exists():
        drawn = Secrets()
        write_private(path, json.dumps(drawn.model_dump(), indent=2))
    try:
        return Secrets.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError):
        raise InputError(f"{path}: is damaged; put a copy back, or begin anew: python -m cluster.stack clean") from None
