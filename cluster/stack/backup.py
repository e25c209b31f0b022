"""A running stack in; a folder with its databases, objects and passwords out, and the way back.

Databases are written first: what they speak of is then among the objects, which are only ever added.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.stack.access import pgpass
from cluster.stack.folder import Folder, write_private
from cluster.stack.secrets import Secrets, load_secrets
from cluster.stack.servers.postgres import ADMIN, DATABASES, connect
from cluster.stack.servers.programs import plain_environment, postgres_programs
from cluster.stack.servers.seaweed import BUCKETS, client
from gkm.errors import InputError

COUNTS = "counts.json"
"""Written last: a backup without it is none."""


def back_up(folder: Folder, ports: Mapping[str, int], target: Path) -> dict[str, int]:
    """Write a backup of the stack in `folder` to the new folder `target`; how many objects each bucket has."""
    if target.exists():
        raise InputError(f"{target}: exists; name a new folder for the backup")
    secrets = load_secrets(folder.keys)
    target.mkdir(mode=0o700, parents=True)
    for database in DATABASES.values():
        dump = target / f"{database}.dump"
        _postgres("pg_dump", folder, ports, ["--format=custom", f"--file={dump}", database])
    counts = {}
    for bucket in BUCKETS:
        s3 = client(ports["s3"], "admin", secrets)
        counts[bucket] = sum(_download(s3, bucket, key, _path(target, bucket, key)) for key in _keys(s3, bucket))
    shutil.copyfile(folder.keys / "secrets.json", target / "secrets.json")
    (target / "secrets.json").chmod(0o600)
    write_private(target / COUNTS, json.dumps(counts))
    return counts


def restore(folder: Folder, ports: Mapping[str, int], source: Path) -> dict[str, int]:
    """Make databases and buckets of a running stack those of the backup `source`; MLflow has to be restarted then.

    InputError where the backup is not whole, or the stack has other passwords: MLflow's are in its database.
    """
    secrets = _check(folder, source)
    for role, database in DATABASES.items():
        with connect(ports["postgres"], secrets) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{database}" OWNER "{role}"'.encode())
            connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC'.encode())
        arguments = ["--exit-on-error", f"--dbname={database}", str(source / f"{database}.dump")]
        _postgres("pg_restore", folder, ports, arguments)
    counts = {}
    for bucket in BUCKETS:
        s3, root = client(ports["s3"], "admin", secrets), source / "s3" / bucket
        kept = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
        for key, path in kept.items():
            s3.upload_file(str(path), bucket, key)
        for key in list(_keys(s3, bucket)):
            if key not in kept:
                s3.delete_object(Bucket=bucket, Key=key)
        counts[bucket] = len(kept)
    return counts


def _check(folder: Folder, source: Path) -> Secrets:
    """The secrets of a stack that can take the backup."""
    try:
        counts = json.loads((source / COUNTS).read_text(encoding="utf-8"))
        found = {bucket: sum(path.is_file() for path in (source / "s3" / bucket).rglob("*")) for bucket in BUCKETS}
        whole = counts == found and all((source / f"{name}.dump").is_file() for name in DATABASES.values())
    except (OSError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{source}: is no backup, or not all of one")
    secrets = load_secrets(folder.keys)
    if Secrets.model_validate_json((source / "secrets.json").read_text(encoding="utf-8")) != secrets:
        raise InputError(
            f"{folder.root}: has other passwords than the backup; restore into a stack that began with the backup's: "
            f"copy {source / 'secrets.json'} to keys/ in an empty --folder before its first start"
        )
    return secrets


def _postgres(program: str, folder: Folder, ports: Mapping[str, int], arguments: list[str]) -> None:
    command = [str(postgres_programs() / "bin" / program), "-h", "127.0.0.1", "-p", str(ports["postgres"]), "-U", ADMIN]
    environment = plain_environment() | {"PGPASSFILE": str(pgpass(folder, ADMIN))}
    before = os.umask(0o077)
    try:
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    finally:
        os.umask(before)
    if done.returncode:
        raise InputError(f"{program}: {done.stderr.strip()[-300:]}")


def _download(s3: Any, bucket: str, key: str, path: Path) -> bool:
    """Whether the object was still there: studies delete checkpoints that newer ones replace."""
    from botocore.exceptions import ClientError

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        s3.download_file(bucket, key, str(path))
    except ClientError as error:
        if error.response["ResponseMetadata"].get("HTTPStatusCode") != 404:
            raise
        return False
    return True


def _keys(s3: Any, bucket: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            yield entry["Key"]


def _path(target: Path, bucket: str, key: str) -> Path:
    """Where an object is kept; InputError for a key that would leave the folder or is no file's name."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InputError(f"s3://{bucket}/{key}: cannot be kept as a file")
    return target / "s3" / bucket / Path(*parts)
