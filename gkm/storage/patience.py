"""An S3 operation in, its result out, even if the server is away for a while: retries with growing pauses."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    SSLError,
)
from s3transfer.exceptions import RetriesExceededError

from gkm.errors import InputError
from gkm.storage.refusals import explained

PATIENCE_SECONDS = 120.0
"""How long a server that does not answer is waited for; `GKM_S3_PATIENCE_SECONDS` sets it."""
_LONGEST_PAUSE_SECONDS = 5.0
_log = logging.getLogger("gkm.storage")
_away_since: dict[str, float] = {}
_telling = threading.Lock()
_PASSING = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "NoSuchUpload",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
"""Codes of refusals that another attempt may not meet."""
_FOR_GOOD = {501, 505, 507, 508}
"""Server errors that stay."""

Result = TypeVar("Result")


def patiently(location: str, endpoint: str, operation: Callable[[], Result], client: Any) -> Result:
    """The result of `operation`, which may be tried many times.

    Raises InputError where the server refuses it, or has not answered for `patience_seconds`.
    """
    began, pause, patience = time.monotonic(), 0.2, patience_seconds()
    while True:
        try:
            result = operation()
        except (ClientError, BotoCoreError, RetriesExceededError) as error:
            if not _passes(error):
                raise explained(location, error, client) from None
            waited, reason = time.monotonic() - began, _reason(error)
        else:
            _tell_it_is_back(endpoint)
            return result
        if waited > patience:
            raise InputError(
                f"{location}: {endpoint} has not answered for {waited:.0f} s ({reason}); see that the server runs and "
                "that AWS_ENDPOINT_URL is its address, then start again"
            )
        if waited > 1:
            _tell_it_is_away(endpoint, began, reason, patience)
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _tell_it_is_away(endpoint: str, since: float, reason: str, patience: float) -> None:
    """Once, however many threads wait."""
    with _telling:
        if endpoint not in _away_since:
            _away_since[endpoint] = since
            _log.warning("%s does not answer (%s); waiting up to %.0f s for it", endpoint, reason, patience)


def _tell_it_is_back(endpoint: str) -> None:
    with _telling:
        if endpoint in _away_since:
            away = time.monotonic() - _away_since.pop(endpoint)
            _log.warning("%s answers again after %.0f s", endpoint, away)


def patience_seconds() -> float:
    """Seconds to wait for a server that is away; InputError where the environment's figure is none."""
    text = os.environ.get("GKM_S3_PATIENCE_SECONDS")
    if not text:
        return PATIENCE_SECONDS
    try:
        return max(0.0, float(text))
    except ValueError:
        raise InputError(f"GKM_S3_PATIENCE_SECONDS = {text}: is no number of seconds; correct or unset it") from None


def _passes(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return (
            error.response["Error"].get("Code") in _PASSING
            or status == 429
            or (status >= 500 and status not in _FOR_GOOD)
        )
    if isinstance(error, SSLError):
        return not any(word in str(error) for word in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"))
    transport = (
        ConnectionError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        ResponseStreamingError,
        RetriesExceededError,
    )
    return isinstance(error, transport)


def _reason(error: Exception) -> str:
    """What the transport met, without addresses."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return f"{error.response['Error'].get('Code')}, status {status}"
    words = {
        "ConnectTimeoutError": "no connection in time",
        "ConnectionClosedError": "it closed the connection",
        "EndpointConnectionError": "no connection",
        "ReadTimeoutError": "no answer in time",
    }
    return words.get(type(error).__name__, type(error).__name__)
