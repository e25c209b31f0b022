"""An event in; a POST of it as JSON to an address out. An answer that does not come changes nothing.

Addresses of webhooks are secrets as a whole: nothing but scheme and host is ever printed, and redirections, which would
carry them elsewhere, are not followed.
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from gkm.errors import InputError

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Webhook:
    """An address that is told of promotions; made by `parse`."""

    url: str = field(repr=False)
    """Without user and password."""
    authorization: str | None = field(default=None, repr=False)
    name: str = ""
    """What may be printed: scheme and host."""

    def post(self, event: Mapping[str, Any]) -> str | None:
        """Send `event`; returns what went wrong, as a sentence without the address's secrets, or None."""
        headers = {"Content-Type": "application/json", "User-Agent": "gkm"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(self.url, json.dumps(event).encode(), headers, method="POST")
        try:
            with urllib.request.build_opener(_NoRedirection).open(request, timeout=TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"answered with status {error.code}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Messages of these may quote the address: their kind has to do.
            cause = getattr(error, "reason", error)
            reason = f"cannot be reached ({type(cause).__name__})"
        return f"webhook {self.name}: {reason}; the registry is as it should be, only nobody was told"


def parse(url: str) -> Webhook:
    """The webhook at `url`; a user and password in it are sent as HTTP's basic authorization.

    Raises InputError where it is no address of the web; the message does not repeat it.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(
            "--webhook (GKM_PROMOTION_WEBHOOK): is no address such as https://host/path; correct it or leave it out"
        )
    place = f"[{host}]" if ":" in host else host
    place += "" if port is None else f":{port}"
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = f"Basic {base64.b64encode(pair).decode()}"
    bare = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    return Webhook(bare, authorization, f"{parts.scheme}://{place}")


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        """None: the answer is an error, as any other that is no success."""
