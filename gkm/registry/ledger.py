"""What happens to the registered model in; a history that only grows, every entry at a place of its own, out.

MLflow knows no transactions, but a parameter of a run cannot be changed once it is set, in a database as well as behind
a server. The history is such a run, which the registered model names in the tag `gkm.ledger`: its parameter
`entry.000001` is the first entry, JSON, and so on without gaps. Whoever wants to write reads all entries first and then
sets the next one; if another process set it meanwhile, the attempt fails and changes nothing.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gkm.errors import InputError
from gkm.tracking import NOTE, Tracking
from gkm.tracking.address import is_server
from gkm.tracking.store import only_process

REGISTERED_NAME = "gkmnet"
LEDGER_TAG = "gkm.ledger"

_DESCRIPTION = (
    "Defocus deblurring: a photograph (RGB, uint8, of any size), or its left and right dual-pixel views where the "
    "version was trained on them, in; the restored photograph out."
)
_NOTE = {
    NOTE: f"What happened to the registered model {REGISTERED_NAME}, one parameter an event: "
    "`gkm registry history` shows it. This run decides who is champion; do not delete it."
}
"""Description of the run."""
_PREFIX = "entry."
_LONGEST = 5800
"""Characters of an entry; MLflow cuts parameters after 6000."""
_CUT_TO = (600, 200, 60)
"""Letters of texts in an entry that is too long; a letter can take twelve characters, ids have 32."""
_ELECTION_SECONDS = 1.0
"""How long a server's clients that make the first history of an old registry wait for each other."""


@dataclass(frozen=True)
class Ledger:
    """The history as it was read."""

    run_id: str | None
    """Of the run that it is; None where none was written yet."""
    entries: tuple[dict[str, Any], ...] = ()
    """The first one first."""


def read(tracking: Tracking, run_id: str | None) -> Ledger:
    """The history in the run `run_id`; InputError where that run was deleted."""
    if run_id is None:
        return Ledger(None)
    run = tracking.get(run_id)
    if run is None:
        raise InputError(
            f"{tracking.address}: the run {run_id}, which is the history of {REGISTERED_NAME}, was deleted; bring it "
            f"back with `mlflow runs restore --run-id {run_id}`"
        )
    keys = sorted(key for key in run.data.params if key.startswith(_PREFIX))
    return Ledger(run_id, tuple(json.loads(run.data.params[key]) for key in keys))


def append(tracking: Tracking, seen: Ledger, entry: Mapping[str, Any]) -> bool:
    """Write `entry` after those that were `seen`; whether it is there now, and no other process's in its place.

    Raises InputError where there is no history yet (see `ensure`), and what MLflow raises where it cannot be asked: the
    entry may then be there or not.
    """
    from mlflow.exceptions import MlflowException

    assert seen.run_id is not None, "a history is made before it is written to"
    key, text = f"{_PREFIX}{len(seen.entries) + 1:06d}", _fitting({"id": uuid.uuid4().hex, **entry})
    problem: MlflowException | None = None
    try:
        tracking.client.log_param(seen.run_id, key, text)
    except MlflowException as error:
        problem = error
    held = tracking.client.get_run(seen.run_id).data.params.get(key)
    if held is None and problem is not None:
        raise problem
    return bool(held == text)


def ensure(tracking: Tracking) -> str:
    """The run that is the history; made, with the registered model, where there is none yet.

    Of several processes that do so at once all get the same one. (The exception: a registered model from before
    histories were kept, behind a server, and a process that stands still for a second between two calls.)
    """
    from mlflow.exceptions import MlflowException

    client = tracking.client
    try:
        if (known := client.get_registered_model(REGISTERED_NAME).tags.get(LEDGER_TAG)) is not None:
            return str(known)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    tracking.prepare()
    own = str(tracking.create(f"{REGISTERED_NAME} history", {"gkm.kind": "registry", **_NOTE}).info.run_id)
    tracking.mark(own, "finished")
    try:
        client.create_registered_model(REGISTERED_NAME, {LEDGER_TAG: own}, _DESCRIPTION)
        return own
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    held = _elect(tracking, own)
    if held != own:
        client.delete_run(own)
    return held


def _elect(tracking: Tracking, own: str) -> str:
    """The history of a registered model that is there already: the one that it names, else `own`."""

    def named() -> str | None:
        held: str | None = tracking.client.get_registered_model(REGISTERED_NAME).tags.get(LEDGER_TAG)
        return held

    with only_process(tracking.uri):
        if (held := named()) is None:
            tracking.client.set_registered_model_tag(REGISTERED_NAME, LEDGER_TAG, own)
            if is_server(tracking.uri):
                time.sleep(_ELECTION_SECONDS)
            held = named()
    return held or own


def _fitting(entry: Mapping[str, Any]) -> str:
    """`entry` as JSON of at most `_LONGEST` characters: where it would be longer, gates lose their figures, texts their
    ends, and at last gates and data go."""
    text = json.dumps(entry)
    if len(text) <= _LONGEST:
        return text
    short = {**entry, "gates": [[name, passed, ""] for name, passed, _ in entry.get("gates", ())]}
    for letters in _CUT_TO:
        if len(text := json.dumps(_cut(short, letters))) <= _LONGEST:
            return text
    return json.dumps({key: _cut(value, _CUT_TO[-1]) for key, value in short.items() if key not in ("gates", "data")})


def _cut(value: Any, letters: int) -> Any:
    """`value` with all texts in it cut to so many letters."""
    match value:
        case str():
            return value[:letters]
        case dict():
            return {key: _cut(inner, letters) for key, inner in value.items()}
        case list() | tuple():
            return [_cut(inner, letters) for inner in value]
    return value
