"""The name and the text of a file of cluster/ in; what is wrong with it, in sentences that begin with its name, out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import yaml

from cluster.checks.amazon import policy_problems, trust_problems
from cluster.checks.charts import chart_problems
from cluster.checks.images import image_problems
from cluster.checks.kuberay import DEFINITIONS, cluster_problems, job_problems
from cluster.checks.kuberay import KINDS as OPERATORS
from cluster.checks.kubernetes import KINDS, pod_problems, pods_in, schema_problems, service_problems
from cluster.checks.launchers import launcher_problems
from cluster.checks.monitoring import dashboard_problems, prometheus_problems
from cluster.checks.project import secrets_in
from cluster.checks.queues import queue_problems
from cluster.checks.shell import shell_problems
from cluster.checks.units import unit_problems


def manifest_problems(text: str) -> list[str]:
    """Problems of a file of Kubernetes documents."""
    documents = [document for document in yaml.safe_load_all(text) if document is not None]
    found = secrets_in(text)
    for number, document in enumerate(documents):
        where = f"{document.get('kind', number)}" if isinstance(document, dict) else str(number)
        problems = schema_problems(document, {**KINDS, **OPERATORS}, DEFINITIONS)
        found += [f"{where}: {problem}" for problem in problems or _rule_problems(document)]
    if not documents:
        found.append("holds nothing")
    return found or queue_problems(documents) + _team_problems(documents)


def _rule_problems(document: Mapping[str, Any]) -> list[str]:
    """This project's rules, for a document that has the right form."""
    claims = {claim["metadata"]["name"] for claim in document.get("spec", {}).get("volumeClaimTemplates", [])}
    found = [f"{path}: {problem}" for path, pod in pods_in(document) for problem in pod_problems(pod, claims)]
    found += service_problems(document)
    if found:
        return found
    match document["kind"]:
        case "RayCluster":
            found += cluster_problems(document["spec"])
        case "RayJob":
            found += job_problems(document)
        case "Ingress" if not document["spec"].get("tls"):
            found.append("spec.tls: is missing; passwords would travel in the open")
    return found


def _team_problems(documents: list[dict[str, Any]]) -> list[str]:
    """A server of MLflow that others reach: users, hosts, and who reaches its database."""
    found = []
    for document in documents:
        commands = [
            " ".join(container.get("command", [])) for _, pod in pods_in(document) for container in pod["containers"]
        ]
        if document["kind"] != "Deployment" or not any(command.startswith("mlflow server") for command in commands):
            continue
        (command,) = commands
        if "--app-name=basic-auth" not in command:
            found.append("Deployment: mlflow without --app-name=basic-auth: everybody may read and delete")
        if not re.search(r"--allowed-hosts=[^*\s]", command):
            found.append("Deployment: mlflow: --allowed-hosts must name the hosts")
        if not any(d["kind"] == "NetworkPolicy" for d in documents):
            found.append("NetworkPolicy: is missing; any pod could knock at the database")
        if not any(d["kind"] == "Ingress" for d in documents):
            found.append("Ingress: is missing")
    for document in documents:
        if document["kind"] == "NetworkPolicy" and any(
            not rule.get("from") for rule in document["spec"].get("ingress", [])
        ):
            found.append("NetworkPolicy: ingress: from is missing, which lets all pods in")
    return found


FILES: dict[str, Callable[[str], list[str]]] = {
    "aws-g5-spot.yaml": launcher_problems,
    "aws-g5-12xlarge-spot.yaml": launcher_problems,
    "gcp-l4-spot.yaml": launcher_problems,
    "lan-hosts.yaml": launcher_problems,
    "kuberay-gpu-cluster.yaml": manifest_problems,
    "kuberay-jobs.yaml": manifest_problems,
    "kuberay-kueue.yaml": manifest_problems,
    "kuberay-values.yaml": chart_problems,
    "mlflow-team.yaml": manifest_problems,
    "mlflow.service": unit_problems,
    "iam/assume-by-ec2.json": trust_problems,
    "iam/head.json": policy_problems,
    "iam/worker.json": policy_problems,
    "iam/mlflow.json": policy_problems,
    "iam/bucket.json": partial(policy_problems, bucket=True),
    "prometheus.yml": prometheus_problems,
    "grafana-dashboard.json": dashboard_problems,
    "Dockerfile": image_problems,
    "local.sh": shell_problems,
    "secrets.sh": shell_problems,
}
"""Every file that starts, allows or builds something -> what finds its problems."""


def problems_of(name: str, text: str) -> list[str]:
    """What is wrong with `text` as the file of that name; each sentence begins with it. KeyError for unknown files."""
    try:
        found = FILES[name](text)
    except yaml.YAMLError as error:
        found = [f"is not YAML: {' '.join(str(error).split())}"]
    except json.JSONDecodeError as error:
        found = [f"is not JSON: {error}"]
    return [f"{name}: {problem}" for problem in found]
