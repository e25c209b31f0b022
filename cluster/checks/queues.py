"""Kueue's documents of one file in; names that are none, and quotas that its jobs can never get, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.checks.kubernetes import amount


def queue_problems(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that Kueue's documents in one file have of each other, and quotas that a job can never get."""
    named = {
        kind: [d for d in documents if d["kind"] == kind] for kind in ("ResourceFlavor", "ClusterQueue", "LocalQueue")
    }
    if not any(named.values()):
        return []
    found = []
    flavors = {flavor["metadata"]["name"] for flavor in named["ResourceFlavor"]}
    queues = {queue["metadata"]["name"] for queue in named["ClusterQueue"]}
    local = {queue["metadata"]["name"] for queue in named["LocalQueue"]}
    found += [
        f"LocalQueue: there is no ClusterQueue {queue['spec']['clusterQueue']}"
        for queue in named["LocalQueue"]
        if queue["spec"]["clusterQueue"] not in queues
    ]
    quota: dict[str, float] = {}
    for queue in named["ClusterQueue"]:
        for group in queue["spec"]["resourceGroups"]:
            for flavor in group["flavors"]:
                if flavor["name"] not in flavors:
                    found.append(f"ClusterQueue: there is no ResourceFlavor {flavor['name']}")
                if [entry["name"] for entry in flavor["resources"]] != group["coveredResources"]:
                    found.append("ClusterQueue: coveredResources and resources must be the same, in the same order")
                for entry in flavor["resources"]:
                    quota[entry["name"]] = quota.get(entry["name"], 0.0) + amount(entry["nominalQuota"])
    for job in (d for d in documents if d["kind"] == "RayJob"):
        if job["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name") not in local:
            found.append("RayJob: its queue is no LocalQueue of this file")
        wanted = _wanted(job["spec"].get("rayClusterSpec", {}))
        found += [
            f"ClusterQueue: {quota.get(name, 0):g} {name} are less than the {most:g} of the job; it would wait for ever"
            for name, most in wanted.items()
            if quota.get(name, 0.0) < most
        ]
    return found


def _wanted(spec: Mapping[str, Any]) -> dict[str, float]:
    """All that the pods of a cluster of fixed size ask for."""
    total: dict[str, float] = {}
    groups = [(1, spec.get("headGroupSpec"))] + [(g.get("replicas", 0), g) for g in spec.get("workerGroupSpecs", [])]
    for count, group in groups:
        for container in (group or {}).get("template", {}).get("spec", {}).get("containers", []):
            for name, value in container.get("resources", {}).get("requests", {}).items():
                total[name] = total.get(name, 0.0) + count * amount(value)
    return total
