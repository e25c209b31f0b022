"""Documents of KubeRay and Kueue in; what their operators or this project's rules would refuse out.

Names and types of the fields: KubeRay's `ray.io/v1` (ray-operator/apis/ray/v1 of github.com/ray-project/kuberay, 1.6),
Kueue's `kueue.x-k8s.io/v1beta2` (apis/kueue/v1beta2 of github.com/kubernetes-sigs/kueue, 0.16) and the template of
KubeRay's chart ray-cluster, written down here for the fields that may be used. Pods within are Kubernetes' own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.checks.kubernetes import amount, resource_problems
from cluster.checks.project import own_version, pinned

KINDS = {
    ("ray.io/v1", "RayCluster"): "ray.RayCluster",
    ("ray.io/v1", "RayJob"): "ray.RayJob",
    ("kueue.x-k8s.io/v1beta2", "ResourceFlavor"): "kueue.ResourceFlavor",
    ("kueue.x-k8s.io/v1beta2", "ClusterQueue"): "kueue.ClusterQueue",
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"): "kueue.LocalQueue",
}
SPOT_LABELS = ("cloud.google.com/gke-spot", "eks.amazonaws.com/capacityType", "karpenter.sh/capacity-type")
"""How clouds and Karpenter mark nodes that may be taken away."""


def _object(required: Sequence[str] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


def _of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _list_of(schema: Mapping[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": least}


_TEXT, _FLAG = {"type": "string", "minLength": 1}, {"type": "boolean"}
_COUNT, _POSITIVE = {"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_ANY: dict[str, Any] = {}


def _document(spec: str | dict[str, Any]) -> dict[str, Any]:
    of = _of(spec) if isinstance(spec, str) else spec
    return _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion=_TEXT, kind=_TEXT, metadata=_of("apis.meta.v1.ObjectMeta"), spec=of,
    )  # fmt: skip


DEFINITIONS: dict[str, Any] = {
    "ray.RayCluster": _document("ray.ClusterSpec"),
    "ray.ClusterSpec": _object(
        ["rayVersion", "headGroupSpec"],
        rayVersion=_TEXT, suspend=_FLAG, enableInTreeAutoscaling=_FLAG, headServiceAnnotations=_TEXTS,
        authOptions=_object(mode=_one_of("token", "disabled"), secretName=_TEXT),
        autoscalerOptions=_object(
            version=_one_of("v1", "v2"), upscalingMode=_one_of("Default", "Aggressive", "Conservative"),
            idleTimeoutSeconds=_COUNT, resources=_of("core.v1.ResourceRequirements"), image=_TEXT,
            imagePullPolicy=_one_of("Always", "IfNotPresent", "Never"), securityContext=_of("core.v1.SecurityContext"),
            env=_list_of(_of("core.v1.EnvVar")), volumeMounts=_list_of(_of("core.v1.VolumeMount")),
        ),
        headGroupSpec=_object(
            ["rayStartParams", "template"],
            serviceType=_one_of("ClusterIP", "NodePort", "LoadBalancer"), enableIngress=_FLAG, rayStartParams=_TEXTS,
            template=_of("core.v1.PodTemplateSpec"), headService=_of("core.v1.Service"),
        ),
        workerGroupSpecs=_list_of(
            _object(
                ["groupName", "rayStartParams", "template"],
                groupName=_TEXT, replicas=_COUNT, minReplicas=_COUNT, maxReplicas=_COUNT, numOfHosts=_POSITIVE,
                idleTimeoutSeconds=_COUNT, rayStartParams=_TEXTS, template=_of("core.v1.PodTemplateSpec"),
            )
        ),
    ),
    "ray.RayJob": _document(
        _object(
            ["entrypoint"],
            entrypoint=_TEXT, submissionMode=_one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
            backoffLimit=_COUNT, activeDeadlineSeconds=_POSITIVE, clusterSelector=_TEXTS, metadata=_TEXTS,
            rayClusterSpec=_of("ray.ClusterSpec"), shutdownAfterJobFinishes=_FLAG, ttlSecondsAfterFinished=_COUNT,
            suspend=_FLAG, runtimeEnvYAML=_TEXT, submitterPodTemplate=_of("core.v1.PodTemplateSpec"),
            entrypointNumCpus={"type": "number", "minimum": 0}, entrypointNumGpus={"type": "number", "minimum": 0},
        )
    ),
    "kueue.ResourceFlavor": _document(
        _object(nodeLabels=_TEXTS, nodeTaints=_list_of(_ANY), tolerations=_list_of(_of("core.v1.Toleration")))
    ),
    "kueue.LocalQueue": _document(_object(["clusterQueue"], clusterQueue=_TEXT)),
    "kueue.ClusterQueue": _document(
        _object(
            ["resourceGroups", "namespaceSelector"],
            cohortName=_TEXT, queueingStrategy=_one_of("StrictFIFO", "BestEffortFIFO"),
            namespaceSelector=_of("apis.meta.v1.LabelSelector"),
            preemption=_object(
                reclaimWithinCohort=_one_of("Never", "LowerPriority", "Any"),
                withinClusterQueue=_one_of("Never", "LowerPriority", "LowerOrNewerEqualPriority"),
            ),
            resourceGroups=_list_of(
                _object(
                    ["coveredResources", "flavors"],
                    coveredResources=_list_of(_TEXT, 1),
                    flavors=_list_of(
                        _object(
                            ["name", "resources"],
                            name=_TEXT,
                            resources=_list_of(
                                _object(["name", "nominalQuota"], name=_TEXT, nominalQuota=_of("api.resource.Quantity"))
                            ),
                        ),
                        1,
                    ),
                ),
                1,
            ),
        )
    ),
}  # fmt: skip
"""Schemas beside Kubernetes' own."""


def cluster_problems(spec: Mapping[str, Any], own: bool = False) -> list[str]:
    """Problems of a RayCluster's `spec`; `own`: it is one job's, of a fixed size, and ends with it."""
    found = []
    if spec["rayVersion"] != pinned("ray"):
        found.append(f"rayVersion: must be {pinned('ray')}, as in constraints.txt")
    if spec.get("authOptions", {}).get("mode") != "token":
        found.append("authOptions.mode: must be token; whoever reaches a Ray without one runs code on it")
    head, groups = spec["headGroupSpec"], spec.get("workerGroupSpecs", [])
    if head.get("serviceType") != "ClusterIP" or head.get("enableIngress"):
        found.append("headGroupSpec.serviceType: must be ClusterIP; nothing outside is to reach it")
    if head["rayStartParams"].get("num-cpus") != "0":
        found.append('headGroupSpec.rayStartParams.num-cpus: must be "0", or the head trains')
    if not _keeps_off_spot(head["template"].get("spec", {})):
        found.append(f"headGroupSpec: its affinity must keep it off spot nodes ({', '.join(SPOT_LABELS)})")
    names = [group["groupName"] for group in groups]
    if len(set(names)) < len(names) or not groups:
        found.append("workerGroupSpecs: must be there, each with a name of its own")
    found += _fixed_problems(groups) if own else _growing_problems(spec, groups) + _announced_problems(head, groups)
    for name, group in [("headGroupSpec", head), *zip(names, groups, strict=True)]:
        found += [f"{name}: {problem}" for problem in _group_problems(group)]
    return found


def _growing_problems(spec: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """A cluster that grows and shrinks with the work."""
    found = []
    options = spec.get("autoscalerOptions", {})
    if spec.get("enableInTreeAutoscaling") is not True:
        found.append("enableInTreeAutoscaling: must be true")
    if not 60 <= options.get("idleTimeoutSeconds", 0) <= 1800:
        found.append("autoscalerOptions.idleTimeoutSeconds: must be 60 to 1800; idle pods cost as much as busy ones")
    found += [f"autoscalerOptions.{problem}" for problem in resource_problems(options.get("resources", {}))]
    if options.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
        found.append("autoscalerOptions.securityContext: must have allowPrivilegeEscalation: false")
    if options.get("version") == "v2" and any(
        group["template"].get("spec", {}).get("restartPolicy") != "Never" for group in (spec["headGroupSpec"], *groups)
    ):
        found.append("restartPolicy: must be Never; version 2 of the autoscaler takes a restarted pod for the old node")
    for group in groups:
        least, now, most = (group.get(key) for key in ("minReplicas", "replicas", "maxReplicas"))
        if not (least == now == 0 and (most or 0) > 0):
            found.append(f"{group['groupName']}: replicas and minReplicas must be 0, and maxReplicas more")
    return found


def _announced_problems(head: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the head says that all pods have together, by which studies count."""
    try:
        said = json.loads(json.loads(head["rayStartParams"].get("resources", '"{}"')))
    except (ValueError, TypeError):
        return ["headGroupSpec.rayStartParams.resources: must be JSON within a text of JSON, as KubeRay hands it on"]
    found = []
    for kind, name in (("CPU", "cpu"), ("GPU", "nvidia.com/gpu")):
        most = 0.0
        for group in groups:
            limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
            most += group.get("maxReplicas", 0) * amount(limits.get(name, 0))
        if said.get(f"gkm_most_{kind}") != most:
            found.append(
                f"headGroupSpec.rayStartParams.resources: gkm_most_{kind} must be {most:g}, all that pods have"
            )
    return found


def _fixed_problems(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """A cluster of one job, whose pods are started together or not at all."""
    return [
        f"{group['groupName']}: replicas, minReplicas and maxReplicas must be the same for a gang"
        for group in groups
        if not group.get("minReplicas") == group.get("replicas") == group.get("maxReplicas") != 0
    ]


def _group_problems(group: Mapping[str, Any]) -> list[str]:
    """Shared memory, object store and image of one group."""
    pod = group["template"].get("spec", {})
    container = pod["containers"][0]
    found = []
    if not str(container["image"]).endswith(f"/gkm:{own_version()}"):
        found.append(f"image: must be this project's, version {own_version()}")
    mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    memory = volumes.get(mounts.get("/dev/shm", ""), {}).get("emptyDir", {})
    store = group["rayStartParams"].get("object-store-memory", "")
    if memory.get("medium") != "Memory" or "sizeLimit" not in memory:
        found.append("/dev/shm: must be an emptyDir in memory with a sizeLimit; 64 MiB are too few for loaders")
    elif not store.isdigit() or int(store) > 0.75 * amount(memory["sizeLimit"]):
        found.append("rayStartParams.object-store-memory: must be given, at most three quarters of /dev/shm")
    elif amount(memory["sizeLimit"]) > 0.5 * amount(container["resources"]["limits"]["memory"]):
        found.append("/dev/shm: counts as the pod's memory and may take half of it at most")
    if "/tmp" not in mounts:
        found.append("/tmp: must be a volume; Ray's logs and decoded photographs would fill the node")
    for other in pod["containers"]:
        command = " ".join(other.get("command", []))
        if command.startswith("mlflow server") and "--host=127.0.0.1" not in command:
            found.append(f"{other['name']}: must listen on 127.0.0.1; it asks for no password")
    return found


def _keeps_off_spot(pod: Mapping[str, Any]) -> bool:
    required = pod.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms", [])
    refused = [
        {rule["key"] for rule in term.get("matchExpressions", []) if rule["operator"] in ("NotIn", "DoesNotExist")}
        for term in terms
    ]
    return bool(terms) and all(set(SPOT_LABELS) <= keys for keys in refused)


def job_problems(document: Mapping[str, Any]) -> list[str]:
    """Problems of a RayJob."""
    from pipelines.cli import PIPELINES

    spec, found = document["spec"], []
    commands = re.findall(r"(?:^|&& )(\S+) (\S+)", spec["entrypoint"])
    if not commands or any(program != "gkm" or name not in PIPELINES for program, name in commands):
        found.append("spec.entrypoint: must be commands of gkm, joined by &&")
    if "activeDeadlineSeconds" not in spec:
        found.append("spec.activeDeadlineSeconds: is missing; a job that hangs would cost until somebody looks")
    if spec.get("backoffLimit") != 0:
        found.append("spec.backoffLimit: must be 0; the same command goes on where it stopped, by hand")
    if ("clusterSelector" in spec) == ("rayClusterSpec" in spec):
        found.append("spec: must have one of clusterSelector and rayClusterSpec")
    elif "clusterSelector" in spec:
        if not spec["clusterSelector"].get("ray.io/cluster"):
            found.append("spec.clusterSelector: must name ray.io/cluster")
        if spec.get("shutdownAfterJobFinishes"):
            found.append("spec.shutdownAfterJobFinishes: KubeRay refuses it for a cluster that is not the job's own")
    else:
        if spec.get("shutdownAfterJobFinishes") is not True:
            found.append("spec.shutdownAfterJobFinishes: must be true, or its pods stay when it is done")
        if "kueue.x-k8s.io/queue-name" not in document["metadata"].get("labels", {}):
            found.append("metadata.labels: without kueue.x-k8s.io/queue-name Kueue does not look at it")
        found += [f"spec.rayClusterSpec.{problem}" for problem in cluster_problems(spec["rayClusterSpec"], own=True)]
    return found
