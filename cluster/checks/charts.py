"""Values for KubeRay's chart in; where they differ from kuberay-gpu-cluster.yaml, or no template reads them, out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from cluster.checks.project import ROOT, secrets_in

CLUSTER = ROOT / "cluster" / "kuberay-gpu-cluster.yaml"
POD = {
    "affinity": "affinity", "restartPolicy": "restartPolicy", "podSecurityContext": "securityContext",
    "tolerations": "tolerations", "volumes": "volumes",
}  # fmt: skip
"""Name in the values -> in the pod."""
CONTAINER = {
    "containerEnv": "env", "ports": "ports", "resources": "resources", "securityContext": "securityContext",
    "volumeMounts": "volumeMounts",
}  # fmt: skip
GROUP = {"replicas", "minReplicas", "maxReplicas", "rayStartParams"}
HEAD = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions"}
KNOWN = {"image", "head", "worker", "additionalWorkerGroups", "fullnameOverride", "nameOverride", "service", "common"}
"""Names that the chart's template reads (helm-chart/ray-cluster of github.com/ray-project/kuberay, 1.6)."""


def chart_problems(text: str) -> list[str]:
    """Problems of the values: they must make the RayCluster that the file for kubectl has."""
    values = yaml.safe_load(text)
    if not isinstance(values, dict):
        return ["holds no values"]
    found = secrets_in(text) + [f"{name}: is read by no template" for name in sorted(set(values) - KNOWN)]
    documents = yaml.safe_load_all(CLUSTER.read_text(encoding="utf-8"))
    cluster = next(document for document in documents if document["kind"] == "RayCluster")
    spec = cluster["spec"]
    if values.get("fullnameOverride") != cluster["metadata"]["name"]:
        found.append(f"fullnameOverride: must be {cluster['metadata']['name']}, which jobs ask for")
    if values.get("service", {}).get("type") != spec["headGroupSpec"]["serviceType"]:
        found.append(f"service.type: must be {spec['headGroupSpec']['serviceType']}")
    if values.get("worker", {}) != {"disabled": True}:
        found.append("worker: must be disabled and no more; the groups have names of their own")
    token = values.get("common", {}).get("containerEnv", [])
    if not _has_token(token):
        found.append("common.containerEnv: must have RAY_AUTH_MODE: token, and RAY_AUTH_TOKEN by secretKeyRef")
    head = values.get("head", {})
    # The chart has no authOptions, by which KubeRay would hand the token to the autoscaler, too.
    expected = {**{key: spec[key] for key in HEAD}, "autoscalerOptions": {**spec["autoscalerOptions"], "env": token}}
    found += [f"head.{key}: differs from {CLUSTER.name}" for key in sorted(HEAD) if head.get(key) != expected[key]]
    found += [f"head.{problem}" for problem in _group_problems(head, spec["headGroupSpec"], values, HEAD)]
    groups, wanted = values.get("additionalWorkerGroups", {}), {g["groupName"]: g for g in spec["workerGroupSpecs"]}
    found += [
        f"additionalWorkerGroups: {name} is in one of the two files" for name in sorted(set(groups) ^ set(wanted))
    ]
    for name in sorted(set(groups) & set(wanted)):
        problems = _group_problems(groups[name], wanted[name], values, {"disabled"})
        found += [f"additionalWorkerGroups.{name}.{problem}" for problem in problems]
    return found


def _has_token(variables: Any) -> bool:
    named = {variable.get("name"): variable for variable in variables if isinstance(variable, dict)}
    secret = named.get("RAY_AUTH_TOKEN", {}).get("valueFrom", {}).get("secretKeyRef", {})
    return named.get("RAY_AUTH_MODE", {}).get("value") == "token" and {"name", "key"} <= set(secret)


def _group_problems(
    given: Mapping[str, Any], group: Mapping[str, Any], values: Mapping[str, Any], also: set[str]
) -> list[str]:
    pod = group["template"]["spec"]
    container = pod["containers"][0]
    known = {*POD, *CONTAINER, *GROUP, *also, "sidecarContainers"}
    found = [f"{name}: is read by no template" for name in sorted(set(given) - known)]
    pairs = [(name, pod.get(of)) for name, of in POD.items()]
    pairs += [(name, container.get(of)) for name, of in CONTAINER.items()]
    pairs += [(name, group.get(name)) for name in sorted(GROUP)]
    pairs += [("sidecarContainers", pod["containers"][1:] or None)]
    found += [f"{name}: differs from {CLUSTER.name}" for name, wanted in pairs if given.get(name) != wanted]
    image = values.get("image", {})
    if f"{image.get('repository')}:{image.get('tag')}" != container["image"]:
        found.append(f"image: differs from {CLUSTER.name}")
    return found
