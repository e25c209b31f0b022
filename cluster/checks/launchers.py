"""A file for Ray's cluster launcher in; what Ray, the cloud or this project's rules would refuse out."""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import yaml

from cluster.checks.amazon import is_spot, node_problems
from cluster.checks.project import pinned, secrets_in

GCP_KEYS = {"machineType", "disks", "scheduling", "serviceAccounts", "shieldedInstanceConfig"}
"""Of the Compute Engine interface's instances.insert, those used here."""
GIB = 1 << 30


def launcher_problems(text: str) -> list[str]:
    """Problems of a launcher file, in sentences that begin with the place."""
    config = yaml.safe_load(text)
    if found := _ray_problems(config):
        return found
    found = secrets_in(text) + _size_problems(config) + _start_problems(config) + _package_problems(config)
    match config["provider"]["type"]:
        case "aws":
            found += _aws_problems(config)
        case "gcp":
            found += _gcp_problems(config)
        case "local":
            found += _host_problems(config["provider"])
        case other:
            found.append(f"provider.type: {other} is none that this project has files for")
    return found


def _ray_problems(config: Any) -> list[str]:
    """What Ray's own validation says."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except Exception as error:  # Ray raises many kinds, for files that are not even a mapping, too
        return [f"Ray refuses it: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"]
    return []


def _size_problems(config: Mapping[str, Any]) -> list[str]:
    """How many nodes there may be, and for how long."""
    found = []
    if not 1 <= config.get("idle_timeout_minutes", 0) <= 30:
        found.append("idle_timeout_minutes: must be given, 1 to 30; idle nodes cost as much as busy ones")
    if config["provider"]["type"] == "local":
        return found
    head, types = config["head_node_type"], config["available_node_types"]
    workers = {name: node for name, node in types.items() if name != head}
    resources = types[head].get("resources", {})
    if resources.get("CPU") != 0 or resources.get("GPU"):
        found.append(f"available_node_types.{head}.resources: must be CPU: 0, or the head trains")
    for kind in ("CPU", "GPU"):
        most = sum(node.get("max_workers", 0) * node["resources"].get(kind, 0) for node in workers.values())
        if resources.get(f"gkm_most_{kind}") != most:
            found.append(f"available_node_types.{head}.resources: gkm_most_{kind} must be {most}, all that nodes have")
    for name, node in workers.items():
        if not 0 == node.get("min_workers", 0) < node.get("max_workers", 0):
            found.append(f"available_node_types.{name}: min_workers must be 0 and max_workers more")
        if not all(isinstance(amount, int) and amount > 0 for amount in node["resources"].values()):
            found.append(f"available_node_types.{name}.resources: must be whole numbers")
    if config.get("max_workers") != (count := sum(node.get("max_workers", 0) for node in workers.values())):
        found.append(f"max_workers: must be {count}, the sum of the node types': studies count on it")
    if config["provider"].get("cache_stopped_nodes") is not False and config["provider"]["type"] == "aws":
        found.append("provider.cache_stopped_nodes: must be false; stopped nodes go on costing their disks")
    return found


def _start_problems(config: Mapping[str, Any]) -> list[str]:
    """How Ray and MLflow are started: token, addresses, object store."""
    found = []
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in config[key] if "ray start" in command]
        if len(starts) != 1:
            found.append(f"{key}: must have one ray start")
            continue
        (start,) = starts
        if "RAY_AUTH_MODE=token ray start" not in start:
            found.append(f"{key}: ray start without RAY_AUTH_MODE=token; whoever reaches it runs code on it")
        shared = re.search(r"--object-store-memory=(\d+)", start)
        if not shared:
            found.append(f"{key}: without --object-store-memory; Ray takes 30 % of the memory")
        elif int(shared[1]) > 0.75 * _shared_memory(config):
            found.append(f"{key}: the object store takes over three quarters of --shm-size; loaders need some of it")
    head = " ".join(config["head_start_ray_commands"])
    if "--dashboard-host=127.0.0.1" not in head:
        found.append("head_start_ray_commands: without --dashboard-host=127.0.0.1")
    if "--autoscaling-config=~/ray_bootstrap_config.yaml" not in head:
        found.append("head_start_ray_commands: without --autoscaling-config; no node would ever be started")
    if re.search(r"--host[= ](0\.0\.0\.0|::)", head):
        found.append("head_start_ray_commands: a server listens on all addresses")
    if config["file_mounts"].get("/home/ray/.ray") != "~/.ray":
        found.append("file_mounts: /home/ray/.ray must be ~/.ray, where the token is")
    return found


def _shared_memory(config: Mapping[str, Any]) -> int:
    """Bytes of /dev/shm of a container."""
    options = " ".join(config.get("docker", {}).get("run_options", []))
    found = re.search(r"--shm-size=(\d+)g", options)
    return int(found[1]) * GIB if found else 0


def _package_problems(config: Mapping[str, Any]) -> list[str]:
    """Images, packages and what travels to the nodes."""
    found = []
    docker = config.get("docker", {})
    images = {key: str(docker.get(key)) for key in ("head_image", "worker_image")}
    for key, image in images.items():
        if not re.fullmatch(rf"rayproject/ray:{re.escape(pinned('ray'))}-py311-(cpu|gpu)", image):
            found.append(f"docker.{key}: {image} is not Ray {pinned('ray')} for Python 3.11, as in constraints.txt")
    commands = [*config.get("setup_commands", []), *config.get("head_setup_commands", [])]
    installs = [command for command in commands if "pip install" in command]
    if not installs:
        found.append("setup_commands: without pip install")
    found += [
        f"setup_commands: not at the versions of constraints.txt: {command}"
        for command in installs
        if "-c /home/ray/gkm/constraints.txt" not in command
    ]
    if config["file_mounts"].get("/home/ray/gkm") != ".":
        found.append("file_mounts: /home/ray/gkm must be the checkout")
    if missing := {".git", ".venv", "runs"} - set(config.get("rsync_exclude", [])):
        found.append(f"rsync_exclude: without {', '.join(sorted(missing))}")
    return found


def _aws_problems(config: Mapping[str, Any]) -> list[str]:
    head, types = config["head_node_type"], config["available_node_types"]
    found = [
        f"available_node_types.{name}.node_config: {problem}"
        for name, node in types.items()
        for problem in node_problems(node["node_config"], node.get("resources", {}), name == head)
    ]
    with_gpu = [node for node in types.values() if node.get("resources", {}).get("GPU")]
    if found:
        return found
    spot = [node for node in with_gpu if is_spot(node["node_config"])]
    others = [node for node in with_gpu if not is_spot(node["node_config"])]
    if not spot or not others:
        found.append("available_node_types: must have GPU nodes of both kinds, spot and on demand")
    elif min(node.get("priority", 0) for node in spot) <= max(node.get("priority", 0) for node in others):
        found.append("available_node_types: priority: spot nodes must come before those on demand, which cost more")
    return found


def _gcp_problems(config: Mapping[str, Any]) -> list[str]:
    found = []
    head = config["head_node_type"]
    for name, node in config["available_node_types"].items():
        where, settings = f"available_node_types.{name}.node_config", node["node_config"]
        found += [f"{where}.{key}: is not known here" for key in sorted(set(settings) - GCP_KEYS)]
        if not re.fullmatch(r"[a-z]\d[a-z]?-[a-z]+-\d+", str(settings.get("machineType"))):
            found.append(f"{where}.machineType: {settings.get('machineType')} is no machine type such as g2-standard-8")
        disks = settings.get("disks") or [{}]
        sizes = [disk.get("initializeParams", {}).get("diskSizeGb", 0) for disk in disks]
        if not all(isinstance(size, int) and size >= 100 for size in sizes):
            found.append(f"{where}.disks: diskSizeGb must be a whole number, 100 or more")
        if not all(disk.get("autoDelete") is True for disk in disks):
            found.append(f"{where}.disks: autoDelete must be true, or disks outlive their node")
        preemptible = any(entry.get("preemptible") for entry in settings.get("scheduling", []))
        if preemptible and name == head:
            found.append(f"{where}.scheduling: the head holds the driver and may not be taken away")
        if node["resources"].get("GPU") and name.endswith("spot") and not preemptible:
            found.append(f"{where}.scheduling: must be preemptible, as the name says")
    return found


def _host_problems(provider: Mapping[str, Any]) -> list[str]:
    hosts = [provider.get("head_ip"), *provider.get("worker_ips", [])]
    found = [f"provider: {host} is listed twice" for host in sorted({h for h in hosts if hosts.count(h) > 1})]
    for host in hosts:
        try:
            address = ipaddress.ip_address(str(host))
        except ValueError:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", str(host)) or re.fullmatch(r"[\d.]+", str(host)):
                found.append(f"provider: {host} is neither an address nor a host's name")
            continue
        if not address.is_private:
            found.append(f"provider: {host} is a public address; Ray's ports are not for the internet")
    if len(hosts) < 2:
        found.append("provider.worker_ips: must list the hosts that train")
    return found
