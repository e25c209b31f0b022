"""A folder, ports and secrets in; MLflow out: with users, PostgreSQL behind it and its artifacts in S3."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from cluster.stack.access import pgpass, s3_environment
from cluster.stack.folder import Folder, write_private
from cluster.stack.secrets import Secrets
from cluster.stack.servers.programs import beside_python, plain_environment
from cluster.stack.servers.server import Server

ADMIN, USER = "admin", "gkm"
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def mlflow_server(folder: Folder, ports: Mapping[str, int], secrets: Secrets) -> Server:
    """MLflow on `ports["mlflow"]` of 127.0.0.1, started when the others are ready."""
    port = ports["mlflow"]
    uri = f"postgresql+psycopg://mlflow@127.0.0.1:{ports['postgres']}/mlflow"
    configuration = folder.keys / "auth.ini"
    return Server(
        name="mlflow",
        command=[
            str(beside_python("mlflow")), "server", "--app-name=basic-auth", "--host=127.0.0.1", f"--port={port}",
            "--workers=1", f"--allowed-hosts=127.0.0.1:{port},localhost:{port}",
            f"--cors-allowed-origins=http://127.0.0.1:{port},http://localhost:{port}",
            "--artifacts-destination=s3://mlflow/artifacts",
        ],
        environment={
            **plain_environment(),
            **s3_environment(folder, ports, "mlflow"),
            "PGPASSFILE": str(pgpass(folder, "mlflow")),
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.mlflow_admin,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.mlflow_sessions,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes more, for evaluating language models
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        folder=folder.logs,
        ready=_readiness(port, secrets),
        prepare=lambda: write_private(
            configuration,
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {uri}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n",  # else each request pays a tenth of a second for the hash of its password
        ),
        after=("postgres", "s3", "ray"),  # Ray gives up where its start takes 30 s: it has the cores to itself
    )  # fmt: skip


def _readiness(port: int, secrets: Secrets) -> Callable[[], bool]:
    def ready() -> bool:
        """Also the user that jobs are: they have no need to be the administrator."""
        try:
            _DIRECTLY.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
            _DIRECTLY.open(_creation(port, secrets), timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                return "RESOURCE_ALREADY_EXISTS" in error.read().decode(errors="replace")
        except OSError:
            return False
        return True

    return ready


def _creation(port: int, secrets: Secrets) -> urllib.request.Request:
    login = base64.b64encode(f"{ADMIN}:{secrets.mlflow_admin}".encode()).decode()
    return urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": USER, "password": secrets.mlflow_gkm}).encode(),
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
