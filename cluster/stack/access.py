"""A folder, ports and secrets in; what opens the doors out: variables, and files of mode 600 that they name.

No password stands in an address or on a command line.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from cluster.stack.folder import Folder, write_private
from cluster.stack.secrets import Secrets

IDENTITIES = ("admin", "mlflow", "gkm")


def pgpass(folder: Folder, role: str) -> Path:
    """The file with the password of a role of PostgreSQL: postgres, mlflow or gkm."""
    return folder.keys / f"pgpass-{role}"


def s3_environment(folder: Folder, ports: Mapping[str, int], identity: str) -> dict[str, str]:
    """What a process needs to use S3 as `identity`, with nothing from elsewhere."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "AWS_SHARED_CREDENTIALS_FILE": str(folder.keys / f"s3-{identity}"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def job_environment(folder: Folder, ports: Mapping[str, int], secrets: Secrets) -> dict[str, str]:
    """What a job of gkm needs: S3, MLflow, and the record of its study."""
    return {
        **s3_environment(folder, ports, "gkm"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": "gkm",
        "MLFLOW_TRACKING_PASSWORD": secrets.mlflow_gkm,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # its server shares the cores with the trials
        "PGPASSFILE": str(pgpass(folder, "gkm")),
        "GKM_RECORD": f"postgresql://gkm@127.0.0.1:{ports['postgres']}/studies",
        "GKM_STORAGE": "s3://gkm/gkm",
        "GKM_WORKSPACE": str(folder.workspace),
    }


def write_access(folder: Folder, ports: Mapping[str, int], secrets: Secrets) -> None:
    """Write the files; afterwards `source FOLDER/keys/environment` is all that a shell needs."""
    write_private(folder.keys / "ray_token", secrets.ray_token)
    for role, password in (
        ("postgres", secrets.postgres_admin),
        ("mlflow", secrets.postgres_mlflow),
        ("gkm", secrets.postgres_gkm),
    ):
        write_private(pgpass(folder, role), f"127.0.0.1:{ports['postgres']}:*:{role}:{password}\n")
    for identity in IDENTITIES:
        key = getattr(secrets, f"s3_{identity}")
        write_private(
            folder.keys / f"s3-{identity}",
            f"[default]\naws_access_key_id = {identity}\naws_secret_access_key = {key}\n",
        )
    variables = {
        **job_environment(folder, ports, secrets),
        "RAY_ADDRESS": f"http://127.0.0.1:{ports['ray']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder.keys / "ray_token"),
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_private(folder.environment, "".join(lines))
