"""A folder, ports and secrets in; a Ray of one node out, with dashboard and token.

Its jobs find the other servers in their environment.
"""

import os
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.stack.access import job_environment
from cluster.stack.folder import Folder
from cluster.stack.ports import answers
from cluster.stack.secrets import Secrets
from cluster.stack.servers.programs import beside_python, plain_environment
from cluster.stack.servers.server import Server

OBJECT_STORE_BYTES = 2**29
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ray_head(folder: Folder, ports: Mapping[str, int], secrets: Secrets, ray_folder: Path, cpus: int | None) -> Server:
    """Ray with its dashboard on `ports["ray"]` of 127.0.0.1, and `cpus` cores (None: all) to offer."""
    return Server(
        name="ray",
        command=[
            str(beside_python("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
            f"--port={ports['ray_gcs']}", "--include-dashboard=true", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={ports['ray']}", f"--dashboard-agent-listen-port={ports['ray_agent']}",
            f"--ray-client-server-port={ports['ray_client']}", f"--metrics-export-port={ports['ray_metrics']}",
            f"--temp-dir={ray_folder}", f"--object-store-memory={OBJECT_STORE_BYTES}",
            *([f"--num-cpus={cpus}"] if cpus else []),
        ],
        environment={
            **plain_environment(),
            **job_environment(folder, ports, secrets),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder.keys / "ray_token"),
            # Ray replaces 127.0.0.1 by the machine's outer address unless told that there will be no other machines.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        folder=folder.workspace,
        ready=_readiness(ports, secrets),
        prepare=lambda: _empty(ray_folder),
    )  # fmt: skip


def _empty(ray_folder: Path) -> None:
    """What a Ray that was lost has left is of no use to the next."""
    shutil.rmtree(ray_folder, ignore_errors=True)
    os.mkdir(ray_folder, 0o700)


def _readiness(ports: Mapping[str, int], secrets: Secrets) -> Callable[[], bool]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{ports['ray']}/api/jobs/", headers={"Authorization": f"Bearer {secrets.ray_token}"}
    )

    def ready() -> bool:
        """Its agent, which starts the jobs, comes last."""
        if not answers(ports["ray"]) or not answers(ports["ray_agent"]):
            return False
        try:
            _DIRECTLY.open(asked, timeout=10).close()
        except OSError:
            return False
        return True

    return ready
