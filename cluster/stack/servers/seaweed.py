"""A folder, ports and secrets in; SeaweedFS out: S3, with a bucket for jobs and one for MLflow."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.stack.folder import Folder, write_private
from cluster.stack.ports import answers
from cluster.stack.secrets import Secrets
from cluster.stack.servers.programs import beside_python, plain_environment
from cluster.stack.servers.server import Server

BUCKETS = ("gkm", "mlflow")
REGION = "us-east-1"
USE = ("Read", "Write", "List", "Tagging")
SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
"""What SeaweedFS' HTTP servers ask of each other; without a signature they answer nobody, S3 apart."""
_FLAGS = {
    "s3": "s3.port", "s3_grpc": "s3.port.grpc", "master": "master.port", "master_grpc": "master.port.grpc",
    "volume": "volume.port", "volume_grpc": "volume.port.grpc", "filer": "filer.port", "filer_grpc": "filer.port.grpc",
}  # fmt: skip


def seaweed(folder: Folder, ports: Mapping[str, int], secrets: Secrets) -> Server:
    """S3 on `ports["s3"]` of 127.0.0.1."""
    return Server(
        name="s3",
        command=[
            str(beside_python("weed")), "-logtostderr=true",  # into the stack's logs, not into /tmp
            "server", f"-dir={folder.s3 / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-s3", f"-s3.config={folder.s3 / 's3.json'}", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false",
            "-master.electionTimeout=1s", "-master.heartbeatInterval=300ms", "-volume.max=100",
            *(f"-{flag}={ports[name]}" for name, flag in _FLAGS.items()),
        ],
        environment=plain_environment(),
        folder=folder.s3,
        ready=_readiness(ports["s3"], secrets),
        prepare=lambda: _configure(folder, secrets),
    )  # fmt: skip


def client(port: int, identity: str, secrets: Secrets) -> Any:
    """boto3's client with the key of `identity`: admin, mlflow or gkm."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session(
        aws_access_key_id=identity, aws_secret_access_key=getattr(secrets, f"s3_{identity}"), region_name=REGION
    ).client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(connect_timeout=3, retries={"max_attempts": 2}, proxies={}),
    )


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Those that SeaweedFS leaves in /tmp when it ends."""
    for name in _FLAGS:
        for left_over in Path("/tmp").glob(f"seaweedfs-*-{ports[name]}.sock"):
            left_over.unlink(missing_ok=True)


def _configure(folder: Folder, secrets: Secrets) -> None:
    identities = [
        _identity("admin", secrets.s3_admin, ["Admin"]),
        *(_identity(name, getattr(secrets, f"s3_{name}"), [f"{verb}:{name}" for verb in USE]) for name in BUCKETS),
    ]
    (folder.s3 / "data").mkdir(mode=0o700, exist_ok=True)
    write_private(folder.s3 / "s3.json", json.dumps({"identities": identities}))
    signed = (f'[{name}]\nkey = "{secrets.s3_inside}"\nexpires_after_seconds = 60\n' for name in SIGNED)
    write_private(folder.s3 / "security.toml", "".join(signed))


def _identity(name: str, key: str, actions: list[str]) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": name, "secretKey": key}], "actions": actions}


def _readiness(port: int, secrets: Secrets) -> Callable[[], bool]:
    def ready() -> bool:
        if not answers(port):
            return False
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            s3 = client(port, "admin", secrets)
            there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
            for bucket in BUCKETS:
                if bucket not in there:
                    s3.create_bucket(Bucket=bucket)
            # Its master takes a moment longer to know where there is room.
            s3.put_object(Bucket=BUCKETS[0], Key=".ready", Body=b"1")
            s3.delete_object(Bucket=BUCKETS[0], Key=".ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    return ready
