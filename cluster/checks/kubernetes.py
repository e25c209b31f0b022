"""A Kubernetes document in; where it breaks the published schema, and this project's rules for pods, out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).with_name("kubernetes.json")
KINDS = {
    ("v1", "Namespace"): "core.v1.Namespace",
    ("v1", "PersistentVolumeClaim"): "core.v1.PersistentVolumeClaim",
    ("v1", "Service"): "core.v1.Service",
    ("v1", "ServiceAccount"): "core.v1.ServiceAccount",
    ("v1", "ConfigMap"): "core.v1.ConfigMap",
    ("apps/v1", "Deployment"): "apps.v1.Deployment",
    ("apps/v1", "StatefulSet"): "apps.v1.StatefulSet",
    ("networking.k8s.io/v1", "Ingress"): "networking.v1.Ingress",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networking.v1.NetworkPolicy",
    ("batch/v1", "CronJob"): "batch.v1.CronJob",
}
"""(apiVersion, kind) -> name of its schema."""
SUFFIXES = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|STORE_URI")
OWN_TOKEN = ("ray-head",)
"""Containers whose pod speaks to Kubernetes: Ray's autoscaler, in the head's pod, starts pods."""


@cache
def definitions() -> dict[str, Any]:
    """The published schemas, by their short names."""
    found: dict[str, Any] = json.loads(SCHEMAS.read_text(encoding="utf-8"))["$defs"]
    return found


def schema_problems(document: Any, kinds: Mapping[tuple[str, str], str], more: Mapping[str, Any]) -> list[str]:
    """Where `document` breaks the schema of its kind.

    kinds: (apiVersion, kind) -> name of the schema. more: schemas beside the published ones; they may refer to these.
    """
    from jsonschema import Draft202012Validator

    if not isinstance(document, dict):
        return ["is no Kubernetes document"]
    kind = (str(document.get("apiVersion")), str(document.get("kind")))
    if kind not in kinds:
        return [f"apiVersion {kind[0]} has no kind {kind[1]} that is known here"]
    schema = {"$ref": f"#/$defs/{kinds[kind]}", "$defs": {**definitions(), **more}}
    found = []
    for error in Draft202012Validator(schema).iter_errors(document):
        cause = min(error.context, key=lambda part: len(part.absolute_path)) if error.context else error
        found.append(f"{'.'.join(str(part) for part in cause.absolute_path) or kind[1]}: {cause.message[:160]}")
    if not isinstance(document.get("metadata"), dict) or not {"name", "generateName"} & set(document["metadata"]):
        found.append("metadata.name: is missing")
    return found


def amount(text: Any) -> float:
    """The number that a quantity such as 500m or 8Gi means; ValueError where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(text))
    if not found or found[2] not in SUFFIXES:
        raise ValueError(f"{text} is no quantity")
    return float(found[1]) * SUFFIXES[found[2]]


def pods_in(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, specification) of every pod within a document."""
    if isinstance(node, dict):
        if isinstance(node.get("containers"), list):
            yield path, node
        for key, value in node.items():
            yield from pods_in(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from pods_in(value, f"{path}.{number}")


def pod_problems(pod: Mapping[str, Any], claims: Collection[str] = ()) -> list[str]:
    """What a pod may do that none needs here, and what it does not say; `claims` are volumes made for each pod."""
    found = []
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        found.append("securityContext: must have runAsNonRoot: true and a runAsUser that is not 0")
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        found.append("securityContext.seccompProfile: must be RuntimeDefault")
    found += [f"{key}: is not needed" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    containers = [*pod["containers"], *pod.get("initContainers", [])]
    names = {container.get("name") for container in containers}
    if pod.get("automountServiceAccountToken") is not False and not names & set(OWN_TOKEN):
        found.append("automountServiceAccountToken: must be false; it has nothing to ask of Kubernetes")
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for name, volume in volumes.items():
        if "hostPath" in volume:
            found.append(f"volumes.{name}: a folder of the node is not needed")
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            found.append(f"volumes.{name}: without sizeLimit it can fill the node")
    for container in containers:
        found += [
            f"{container.get('name')}: {problem}" for problem in _container_problems(container, {*volumes, *claims})
        ]
    return found


def _container_problems(container: Mapping[str, Any], volumes: set[str]) -> list[str]:
    found = []
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        found.append("securityContext: must have allowPrivilegeEscalation: false, and no privileged")
    if context.get("capabilities") != {"drop": ["ALL"]}:
        found.append("securityContext.capabilities: must drop ALL and add none")
    if context.get("runAsUser") == 0:
        found.append("securityContext.runAsUser: is root")
    if not re.fullmatch(r"[\w./-]+(:\d+)?/?[\w./-]*:v?\d[\w.-]*(@sha256:\w{64})?", str(container.get("image"))):
        found.append(f"image: {container.get('image')} has no version")
    found += resource_problems(container.get("resources", {}))
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            found.append(f"volumeMounts: there is no volume {mount['name']}")
    for variable in container.get("env", []):
        if SECRET_NAME.search(variable["name"]) and "value" in variable:
            found.append(f"env.{variable['name']}: a secret comes by secretKeyRef, not as a value")
    return found


def resource_problems(resources: Mapping[str, Any]) -> list[str]:
    """What is missing in a container's requests and limits, or is above them."""
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    found = [
        f"resources.{part}.{name}: is missing"
        for part, given in (("requests", requests), ("limits", limits))
        for name in ("cpu", "memory")
        if name not in given
    ]
    try:
        above = [name for name in requests if name in limits and amount(requests[name]) > amount(limits[name])]
        fractions = [name for name in limits if "/" in name and amount(limits[name]) % 1]
    except ValueError as error:
        return [*found, f"resources: {error}"]
    found += [f"resources.requests.{name}: is above its limit" for name in above]
    found += [f"resources.limits.{name}: must be a whole number" for name in fractions]
    if requests.get("memory") != limits.get("memory"):
        found.append("resources.requests.memory: must be its limit; what is above is what gets a pod evicted")
    for name in sorted({name for name in (*requests, *limits) if "/" in name}):
        if requests.get(name) != limits.get(name):
            found.append(f"resources.requests.{name}: must be its limit")
    return found


def service_problems(document: Mapping[str, Any]) -> list[str]:
    """Ways in from outside."""
    if document.get("kind") == "Service" and document["spec"].get("type", "ClusterIP") != "ClusterIP":
        return [f"spec.type: {document['spec']['type']} opens it to the outside; use ClusterIP"]
    return []
