"""A tracking URI in; what kind of store it names, and what may be printed of it, out."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit


def is_server(uri: str) -> bool:
    """Whether `uri` is an MLflow server's rather than a database's."""
    return urlsplit(uri).scheme in {"http", "https"}


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite URI, None for other stores."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def redacted(text: str) -> str:
    """`text` with the passwords of URIs, and the values of secret-looking query parameters, blotted out."""
    # A password may have "@" in it, or, where databases are addressed, "/"; a port has a path behind it.
    text = re.sub(r"(?<=://)(?:[^/\s]+@|[^/\s@:]+:(?!\d+/)[^\s@]+@)", "***@", text)
    return re.sub(r"(?i)([?&][\w-]*(?:password|token|secret|signature|credential|key)[\w-]*=)[^&\s]+", r"\1***", text)
