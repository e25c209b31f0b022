"""The registered model in; what happened to it, oldest first, and how often photographs were looked at, out.

An event has "event" (promoted, refused, overtaken, looked, rolled back, challenger, registered), "time" (UTC),
"version", "reason", "who", and for what was measured "why", "evidence" (a run of MLflow), "opponent", "data" and
"gates". Registries of before have events as tags `gkm.event.TIME` of the registered model; they come first.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gkm.registry import standing
from gkm.registry.standing import Standing
from gkm.tracking import Tracking

if TYPE_CHECKING:
    from gkm.data.dataset.manifest import Manifest

PROMOTED, REFUSED, OVERTAKEN, LOOKED, ROLLED_BACK = "promoted", "refused", "overtaken", "looked", "rolled back"
_EARLIER = "gkm.event."
_LOOKS = (PROMOTED, REFUSED, OVERTAKEN, LOOKED)


def events(tracking: Tracking) -> list[dict[str, Any]]:
    """What happened to the registered model, oldest first; what a process that died left undone is done first."""
    found = standing.read(tracking)
    if found.unsettled:
        found = standing.settle(tracking)
    return events_of(found)


def events_of(found: Standing) -> list[dict[str, Any]]:
    """The same, of what was read already."""
    earlier = [json.loads(found.tags[key]) for key in sorted(found.tags) if key.startswith(_EARLIER)]
    return [*earlier, *found.history.entries]


def photographs_id(manifest: Manifest) -> str:
    """What identifies the test photographs of a data set, whatever else it holds: 12 hex digits."""
    pairs = sorted(entry.blurred_sha256 + entry.sharp_sha256 for entry in manifest.splits["test"].entries)
    return hashlib.sha256("".join(pairs).encode()).hexdigest()[:12]


def look(
    happened: Sequence[dict[str, Any]], photographs: str, fingerprint: str, version: int, opponent: int | None
) -> int:
    """How manieth look at these test photographs it is to compare `version` with `opponent` (None: the blurred input).

    What was compared before shows nothing new and is no further look: it keeps its number. `fingerprint` is that of the
    data set, which is all that events of before have.
    """
    seen: dict[tuple[int, int | None], None] = {}
    for event in happened:
        if event["event"] not in _LOOKS:
            continue
        if "data_fingerprint" in event:
            known = event["data_fingerprint"] == fingerprint
        else:
            known = any(data.get("photographs_id") == photographs for data in event.get("data", ()))
        if known:
            seen.setdefault((int(event["version"]), _opponent(event)))
    compared = list(seen)
    pair = (version, opponent)
    return compared.index(pair) + 1 if pair in compared else len(compared) + 1


def level_of(look: int, level: float) -> float:
    """Confidence of the two-sided interval at the `look`-th look at the same photographs: `level` at the first.

    The chance to take a model for better that is not is (1 - level) / (k (k + 1)) at the k-th look. Over all looks,
    ever so many, these add up to 1 - level at most; the first has half of that, which is the lower tail of the
    `level` interval.
    """
    return 1 - 2 * (1 - level) / (look * (look + 1))


def was_rolled_back(happened: Sequence[dict[str, Any]], version: int) -> str | None:
    """When `version` was last rolled back, if it was not promoted again since."""
    turns = [e for e in happened if e["version"] == version and e["event"] in (PROMOTED, ROLLED_BACK)]
    return turns[-1]["time"] if turns and turns[-1]["event"] == ROLLED_BACK else None


def champion_before(happened: Sequence[dict[str, Any]], version: int) -> int | None:
    """The champion that `version` took over from."""
    taken_over = [e for e in happened if e["event"] == PROMOTED and e["version"] == version]
    return taken_over[-1].get("previous") if taken_over else None


def whoami() -> str:
    """The user and the machine, as "user@host"."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user often has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """The time in UTC, such as 2026-01-31T12:00:00.000000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _opponent(event: dict[str, Any]) -> int | None:
    """The version that an event's was compared with: "version 2 (champion)" -> 2; None for the blurred input."""
    words = str(event.get("opponent", "")).split()
    return int(words[1]) if len(words) > 1 and words[0] == "version" and words[1].isdecimal() else None
