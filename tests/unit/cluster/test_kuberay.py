"""The KubeRay files: versions, resources, security, and a job made of files and flags that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
IMAGE_CHECKOUT = "/home/ray/gkm/"
UNITS = {"m": 1e-3, "": 1, "Mi": 2**20, "Gi": 2**30}


def documents(name):
    return list(yaml.safe_load_all((ROOT / "cluster" / name).read_text()))


def of_kind(kind):
    found = [
        document
        for name in ("kuberay-gpu-cluster.yaml", "kuberay-sweep-job.yaml")
        for document in documents(name)
        if document["kind"] == kind
    ]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def cluster():
    return of_kind("RayCluster")


@pytest.fixture(scope="module")
def job():
    return of_kind("RayJob")


@pytest.fixture(scope="module")
def pods(cluster):
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.fixture(scope="module")
def containers(pods):
    return [container for pod in pods for container in pod["containers"]]


def amount(text):
    number, unit = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", str(text)).groups()
    return float(number) * UNITS[unit]


def test_api_and_ray_version(cluster, job):
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert cluster["apiVersion"] == job["apiVersion"] == "ray.io/v1"
    assert cluster["spec"]["rayVersion"] == pinned


def test_autoscaling(cluster):
    spec = cluster["spec"]
    (gpu,) = spec["workerGroupSpecs"]
    assert spec["enableInTreeAutoscaling"] is True
    assert 0 < spec["autoscalerOptions"]["idleTimeoutSeconds"] <= 900
    assert gpu["minReplicas"] == gpu["replicas"] == 0 < gpu["maxReplicas"]
    # Version 2 of the autoscaler takes a restarted pod for the old node.
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert all(group["template"]["spec"]["restartPolicy"] == "Never" for group in (spec["headGroupSpec"], gpu))


def test_trials_run_on_gpu_workers_only(cluster):
    head, (gpu,) = cluster["spec"]["headGroupSpec"], cluster["spec"]["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    (container,) = gpu["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_resources_are_given_and_requests_within_limits(cluster, containers):
    for resources in [cluster["spec"]["autoscalerOptions"]["resources"], *(c["resources"] for c in containers)]:
        requests, limits = resources["requests"], resources["limits"]
        assert {"cpu", "memory"} <= set(requests)
        assert set(requests) == set(limits)
        assert all(amount(requests[key]) <= amount(limits[key]) for key in requests)
        assert requests["memory"] == limits["memory"]  # memory above the request is what gets a pod evicted


def test_images_are_pinned_to_this_version(containers):
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert {container["image"].rpartition(":")[2] for container in containers} == {version}


def test_token_and_no_way_in_from_outside(cluster):
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert cluster["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_pods_have_no_root_and_no_privileges(pods, containers):
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods)
    assert all(container["securityContext"]["allowPrivilegeEscalation"] is False for container in containers)
    assert all(container["securityContext"]["capabilities"] == {"drop": ["ALL"]} for container in containers)


def test_every_mount_has_its_volume_and_the_workspace_is_shared(pods):
    claim = of_kind("PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounts == set(volumes)
        assert volumes["workspace"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_mlflow_answers_under_the_name_the_pods_use(cluster, containers):
    (mlflow,) = (container for container in containers if container["name"] == "mlflow")
    (allowed,) = (word.partition("=")[2] for word in mlflow["command"] if word.startswith("--allowed-hosts="))
    service = f"{cluster['metadata']['name']}-head-svc:5000"  # KubeRay's name for the head's service
    assert service in allowed.split(",")
    for container in containers:
        if container is not mlflow:
            assert {"name": "MLFLOW_TRACKING_URI", "value": f"http://{service}"} in container["env"]
    head = next(container for container in containers if container["name"] == "ray-head")
    assert {"name": "mlflow", "containerPort": 5000} in head["ports"]


def test_job_goes_to_the_cluster_once(cluster, job):
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    # KubeRay refuses retries and shutting down for a cluster that is not the job's own.
    assert job["spec"]["backoffLimit"] == 0
    assert "shutdownAfterJobFinishes" not in job["spec"]


def test_job_runs_files_and_flags_that_exist(job):
    flags = (ROOT / "tests" / "architecture" / "flags.txt").read_text()
    commands = [shlex.split(command) for command in job["spec"]["entrypoint"].split("&&")]
    assert [Path(command[1]).name for command in commands] == ["prepare_data.py", "sweep.py"]
    for command in commands:
        paths = [word.removeprefix(IMAGE_CHECKOUT) for word in command if word.startswith(IMAGE_CHECKOUT)]
        assert paths
        assert all((ROOT / path).is_file() for path in paths)
        section = flags.partition(f"{Path(command[1]).name}\n")[2]
        known = set(re.findall(r"--[a-z-]+", re.split(r"^\w+\.py$", section, flags=re.MULTILINE)[0]))
        assert {word for word in command if word.startswith("--")} <= known


def test_job_writes_into_the_shared_workspace_only(job, containers):
    (workspace,) = {
        mount["mountPath"]
        for container in containers
        for mount in container["volumeMounts"]
        if mount["name"] == "workspace"
    }
    words = shlex.split(job["spec"]["entrypoint"])
    for flag in ("--out", "--data", "--workspace"):
        assert words[words.index(flag) + 1].startswith(workspace)
