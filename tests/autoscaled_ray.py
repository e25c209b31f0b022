"""A Ray cluster on this machine whose nodes Ray's own autoscaler starts and removes, with token authentication.

Nodes are raylets that Ray's fake provider starts, so the autoscaler's decisions are real and only the machines are not.
The wheel lacks the provider's defaults, example.yaml: it is named as an external one, with settings of our own.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

HEAD_ID = "f" * 51 + "00000"
"""What the fake provider calls the head."""
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
LISTS = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands")
LISTS += ("head_setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
LOOK_SECONDS = 0.5


class AutoscaledRay:
    """A head without CPUs, and as many nodes of `cpus` as the work at hand needs, `most` at most."""

    def __init__(self, folder: Path, version: int, cpus: int = 2, most: int = 3, idle_minutes: float = 0.5) -> None:
        """`folder` must be short: Ray's sockets lie in it. `version`: of the autoscaler, 1 or 2."""
        self.folder, self.cpus, self.most = folder, cpus, most
        self.port, agent, client, metrics = _free_ports(4)
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback, not the machine's outer address
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        own = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": str(version - 1),
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_NODE_TYPE_NAME": "ray.head.default",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "RAY_health_check_initial_delay_ms": "0",
            "RAY_health_check_period_ms": "1000",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "AUTOSCALER_HEARTBEAT_TIMEOUT_S": "15",
            "AUTOSCALER_METRIC_PORT": str(metrics),
        }
        settings = folder / "autoscaling.yaml"
        settings.write_text(yaml.safe_dump(self._settings(idle_minutes)))
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address=127.0.0.1", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"),
            *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
            *(f"--temp-dir={folder}/ray", f"--object-store-memory={100 << 20}", f"--autoscaling-config={settings}"),
            f"--resources={json.dumps({'gkm_most_CPU': cpus * most})}",
        ]
        self._began = time.monotonic()
        with (folder / "head.log").open("w") as log:
            self._head = subprocess.Popen(
                command,
                env=os.environ | self.environment | own,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
        self.counts: list[tuple[float, int]] = []
        """Seconds since the start, and how many nodes there were from then on, the head apart."""
        self._notes: list[tuple[float, str]] = []
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _settings(self, idle_minutes: float) -> dict[str, object]:
        node = {"resources": {"CPU": self.cpus, "object_store_memory": 100 << 20}, "node_config": {}}
        return {
            "cluster_name": "fake",
            "max_workers": self.most,
            "idle_timeout_minutes": idle_minutes,
            "upscaling_speed": 10,
            "provider": {
                "type": "external",
                "module": PROVIDER,
                "gcs_address": self.address,
                "head_node_id": HEAD_ID,
                "launch_multiple": True,
                "use_node_id_as_ip": True,  # all nodes have one address
                "disable_node_updaters": True,  # there is no ssh to them
                "disable_launch_config_check": True,
                "foreground_node_launch": True,
            },
            "head_node_type": "ray.head.default",
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                "worker": {**node, "min_workers": 0, "max_workers": self.most},
            },
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "file_mounts_sync_continuously": False,
            **{name: [] for name in LISTS},
        }

    # What there is

    def processes(self) -> list[psutil.Process]:
        """All of this cluster's, but for the command that started it."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder / "ray") in word for word in process.info["cmdline"] or ()):
                found.append(process)
        return [process for process in found if process.pid not in (self._head.pid, os.getpid())]

    def raylets(self) -> list[psutil.Process]:
        """Those of nodes that the autoscaler has started."""
        found = []
        for process in psutil.process_iter(["name"]):
            if process.info["name"] != "raylet":
                continue
            with suppress(psutil.Error):
                is_ours = any(str(self.folder) in word for word in process.cmdline())
                if is_ours and process.environ().get("RAY_OVERRIDE_NODE_ID_FOR_TESTING", HEAD_ID) != HEAD_ID:
                    found.append(process)
        return found

    def events(self) -> list[str]:
        """What the autoscaler says that it did."""
        text = "".join(path.read_text() for path in self.folder.glob("ray/session_2*/logs/monitor.log"))
        said = re.findall(r"(?::event_summary:|INFO event_logger\.py:\d+ -- )(.*)", text)
        return [line for line in said if re.match(r"Adding|Removing|Resized|Terminating|Killing|Failed", line)]

    def note(self, text: str) -> None:
        """Something to be seen on the timeline."""
        self._notes.append((time.monotonic() - self._began, text))

    def timeline(self) -> str:
        """The nodes over time, a line for each change."""
        lines = [(at, f"{count} nodes") for at, count in self.counts] + self._notes
        return "\n".join(f"{at:7.1f} s  {text}" for at, text in sorted(lines))

    def wait_for(self, count: int, seconds: float) -> None:
        """Until there are so many nodes."""
        until = time.monotonic() + seconds
        while len(self.raylets()) != count:
            if time.monotonic() > until or self._head.poll() is not None:
                pytest.fail(f"there were never {count} nodes:\n{self.timeline()}\n{self.log()}")
            time.sleep(LOOK_SECONDS)

    def wait_until_ready(self, seconds: float = 180) -> None:
        """Until the autoscaler has looked around once."""
        until = time.monotonic() + seconds
        while not re.search("Autoscaler status|RAY_RUNNING", self.log()):
            if time.monotonic() > until or self._head.poll() is not None:
                started = (self.folder / "head.log").read_text()
                pytest.fail(f"the cluster did not start: {started[-2000:]}\n{self.log()}")
            time.sleep(LOOK_SECONDS)

    def log(self) -> str:
        """The autoscaler's own."""
        return "".join(path.read_text()[-20000:] for path in self.folder.glob("ray/session_2*/logs/monitor.*"))

    def _watch(self) -> None:
        while not self._watching.wait(LOOK_SECONDS):
            count = len(self.raylets())
            if not self.counts or self.counts[-1][1] != count:
                self.counts.append((time.monotonic() - self._began, count))

    def end(self) -> None:
        """Leave no process behind."""
        self._watching.set()
        self._watcher.join()
        there = self.processes()
        self._head.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._head.wait(20)
        for process in {*there, *self.processes()}:
            with suppress(psutil.Error):
                process.kill()
        self._head.kill()
        self._head.wait()
        psutil.wait_procs(there, timeout=20)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
