"""What a study's page is made from in; whether the page that is there would come out the same, out.

A line of JSON beside the page keeps a digest of all that it was made from, the page's own, and what was printed.
Nothing here imports torch or MLflow: that a page is current is known as soon as the record has been read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import gkm
from gkm import storage

if TYPE_CHECKING:
    from gkm.study.record.results import StudyResults
    from gkm.tracking import Tracking

_CODE = Path(gkm.__file__).parent


def made_from(study: StudyResults, data_fingerprint: str, tracking: Tracking, lpips_weights: str | Path | None) -> str:
    """A digest of the record, the data set, the tracking store, the code and what LPIPS uses.

    Empty where it cannot be told whether the store has changed without asking it: on a server.
    """
    store = tracking.stamp()
    if store is None:
        return ""
    digest = hashlib.sha256(repr((study, data_fingerprint, store, str(lpips_weights or ""))).encode())
    for path in sorted(_CODE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            state = path.stat()
            digest.update(f"{path.relative_to(_CODE)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def remember(page: str | Path, source: str, said: Sequence[str], beside: Sequence[str] = ()) -> None:
    """Keep beside the page what it was made from, the lines that tell of it, and which files were written with it.

    Nothing is kept where `source` is empty.
    """
    if source:
        digest = _sha256(storage.read_bytes(page))
        kept = {"made_from": source, "page": digest, "said": list(said), "beside": list(beside)}
        storage.write_bytes(_beside(page), json.dumps(kept).encode() + b"\n")


def said_if_current(page: str | Path, source: str) -> list[str] | None:
    """The lines that told of the page, if it was made from the same and all is there as it was written; else None."""
    if not source:
        return None
    try:
        kept = json.loads(storage.read_bytes(_beside(page)))
        if kept["made_from"] != source or kept["page"] != _sha256(storage.read_bytes(page)):
            return None
        if not all(storage.exists(str(place)) for place in kept["beside"]):
            return None
        return [str(line) for line in kept["said"]]
    except (OSError, ValueError, TypeError, LookupError):
        return None  # not there, or damaged: it will be written anew


def _beside(page: str | Path) -> str:
    return str(page).removesuffix(PurePath(page).suffix) + ".made-from.json"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
