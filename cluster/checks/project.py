"""What the files must agree with: the pinned version of a package, this project's own, and signs of a secret."""

import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key|://[^/\s:]+:[^/\s@$*]+@", re.I
)
"""Keys, or a password within an address."""


@cache
def pinned(package: str) -> str:
    """The version of `package` in constraints.txt; KeyError where it is not pinned."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    if not (found := re.search(rf"^{re.escape(package)}==(\S+)$", text, re.MULTILINE)):
        raise KeyError(package)
    return found[1]


@cache
def own_version() -> str:
    """The project's version, which its image carries as tag."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def secrets_in(text: str) -> list[str]:
    """Problems: what looks like a secret in a file."""
    return [f"holds what looks like a secret: {found[0][:12]}..." for found in SECRET.finditer(text)]
