"""Objects in S3: what `gkm.storage` does where a location is an `s3://bucket/key` URI.

Endpoint, region and credentials are found by boto3's own rules. A server that is away is waited for; see
`gkm.storage.patience`. Uploads carry checksums that the server verifies, and objects appear whole or not at all.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gkm.errors import InputError
from gkm.storage.local import Location, replacing
from gkm.storage.patience import patiently
from gkm.storage.refusals import explained

MULTIPART_BYTES = 16 * 2**20
"""Larger files travel in parts of this size, a few at a time."""
_TRANSFER = TransferConfig(multipart_threshold=MULTIPART_BYTES, multipart_chunksize=MULTIPART_BYTES, max_concurrency=4)
_DELETE_AT_ONCE = 1000
_NO_TIME = datetime.fromtimestamp(0, UTC)
_LOCATION = re.compile(r"s3://?([^/]*)/*(.*)")


@dataclass(frozen=True)
class Entry:
    """A file below a location."""

    name: str
    """Relative to the location."""
    size: int
    """In bytes."""
    modified: datetime


def exists(location: Location) -> bool:
    """See `gkm.storage.exists`."""
    return status(location) is not None or holds_files(location)


def status(location: Location) -> Entry | None:
    """What is known of the file at `location`; None if there is none."""
    bucket, key = split(location)
    if not key:
        return None

    def head() -> Entry | None:
        try:
            found = client().head_object(Bucket=bucket, Key=key)
            return Entry(key.rpartition("/")[2], found["ContentLength"], found["LastModified"])
        except ClientError as error:
            if error.response["ResponseMetadata"].get("HTTPStatusCode") == 404:
                return None
            # Answers to HEAD have no body: only another request learns why.
            client().list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
            raise

    found: Entry | None = _call(location, head)
    return found


def read_bytes(location: Location) -> bytes:
    """See `gkm.storage.read_bytes`."""
    return _read(location, {})


def read_range(location: Location, start: int, length: int) -> bytes:
    """See `gkm.storage.read_range`."""
    if length <= 0:
        return b""
    return _read(location, {"Range": f"bytes={start}-{start + length - 1}"})


def write_bytes(location: Location, data: bytes, if_absent: bool) -> bool:
    """See `gkm.storage.write_bytes`."""
    bucket, key = _file(location)
    condition = {"IfNoneMatch": "*"} if if_absent else {}

    def put() -> bool:
        try:
            client().put_object(Bucket=bucket, Key=key, Body=data, **condition)
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code == "NotImplemented" and if_absent and status(location) is None:
                return write_bytes(location, data, False)  # a server without conditions: nearly as good
            if code not in ("PreconditionFailed", "NotImplemented"):
                raise
            # There already; perhaps by this very call, whose first answer was lost.
            return bool(client().get_object(Bucket=bucket, Key=key)["Body"].read() == data)
        return True

    return bool(_call(location, put))


def upload(path: Path, location: Location) -> None:
    """See `gkm.storage.upload`."""
    bucket, key = _file(location)

    def send() -> None:
        with path.open("rb") as file:
            client().upload_fileobj(file, bucket, key, Config=_TRANSFER)

    _call(location, send)


def download(location: Location, path: Path) -> None:
    """See `gkm.storage.download`."""
    bucket, key = _file(location)
    with replacing(path) as partial:

        def fetch() -> None:
            with partial.open("wb") as file:
                client().download_fileobj(bucket, key, file, Config=_TRANSFER)

        _call(location, fetch)


def list_files(location: Location) -> list[str]:
    """See `gkm.storage.list_files`."""
    return sorted(entry.name for entry in entries(location))


def holds_files(location: Location) -> bool:
    """Whether there is a file below `location`."""
    return next(entries(location, 1), None) is not None


def entries(location: Location, page_files: int = 1000) -> Iterator[Entry]:
    """All files below `location`; a request each for `page_files` of them."""
    for page, skip in _pages(location, MaxKeys=page_files):
        yield from _listed(page, skip)


def children(location: Location) -> Iterator[Entry]:
    """Files right below `location`, and folders, whose names end in a slash."""
    for page, skip in _pages(location, Delimiter="/"):
        for found in page.get("CommonPrefixes", ()):
            yield Entry(found["Prefix"][skip:], 0, _NO_TIME)
        yield from _listed(page, skip)


def delete(location: Location) -> None:
    """See `gkm.storage.delete`."""
    bucket, key = _file(location)
    keys = [key, *(f"{key}/{entry.name}" for entry in entries(location))]
    for start in range(0, len(keys), _DELETE_AT_ONCE):
        objects = [{"Key": name} for name in keys[start : start + _DELETE_AT_ONCE]]
        request = {"Bucket": bucket, "Delete": {"Objects": objects, "Quiet": True}}
        answer = _call(location, functools.partial(client().delete_objects, **request))
        for refusal in answer.get("Errors", ()):
            raise explained(location, ClientError({"Error": refusal}, "DeleteObjects"), client())


def split(location: Location) -> tuple[str, str]:
    """Bucket and key of a location; InputError if it names no bucket."""
    match = _LOCATION.fullmatch(str(location))
    if match is None or not match[1]:
        raise InputError(f"{location}: names no bucket; write it as s3://bucket/prefix")
    return match[1], match[2].rstrip("/")


def client() -> Any:
    """The S3 client of this process; InputError where the endpoint or profile in the environment is unusable."""
    return _client(os.getpid())


@functools.cache
def _client(process: int) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=16,
        user_agent_extra="gkm",
    )
    try:
        return boto3.session.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise explained("s3", error, None) from None


def _pages(location: Location, **more: Any) -> Iterator[tuple[Any, int]]:
    """Answers to listing `location`, and how many characters of their keys stand for it."""
    bucket, key = split(location)
    prefix = f"{key}/" if key else ""
    token: dict[str, str] = {}
    while True:
        request = {"Bucket": bucket, "Prefix": prefix, **more, **token}
        page = _call(location, functools.partial(client().list_objects_v2, **request))
        yield page, len(prefix)
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _listed(page: Any, skip: int) -> Iterator[Entry]:
    for found in page.get("Contents", ()):
        if not found["Key"].endswith("/"):  # consoles mark empty folders so
            yield Entry(found["Key"][skip:], found["Size"], found["LastModified"])


def _file(location: Location) -> tuple[str, str]:
    bucket, key = split(location)
    if not key:
        raise InputError(f"{location}: is a whole bucket; give a place in it, such as s3://{bucket}/gkm")
    return bucket, key


def _read(location: Location, condition: dict[str, str]) -> bytes:
    bucket, key = _file(location)

    def get() -> bytes:
        try:
            return bytes(client().get_object(Bucket=bucket, Key=key, **condition)["Body"].read())
        except ClientError as error:
            if error.response["Error"].get("Code") == "InvalidRange":  # begins at the end of the file
                return b""
            raise

    return bytes(_call(location, get))


def _call(location: Location, operation: Any) -> Any:
    """The result of `operation`, with patience for a server that is away and a sentence for what it refuses."""
    return patiently(str(location), client().meta.endpoint_url, operation, client())
