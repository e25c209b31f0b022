"""A trial's store and its settings in; the checkpoint that training goes on from, or a refusal, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.tracking.environment import git_commit
from gkm.training.checkpoint import Checkpoint, load_checkpoint
from gkm.training.selection import Selection
from gkm.training.store import TrialStore


@dataclass(frozen=True)
class Identity:
    """What must be the same when training goes on."""

    config: TrialConfig
    selection: Selection
    data: str | None
    """Fingerprint of the data set; None: not known, not checked."""
    init: str | None = None
    """Digest of the weights that training began with; None: random ones."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this, and of the code that writes it."""
        return {
            "fingerprint": self.config.fingerprint(),
            "settings": self.config.model_dump(mode="json"),
            "selection": [self.selection.metric, self.selection.mode],
            "data": self.data,
            "init": self.init,
            "code": code_version(),
        }

    def check(self, state: Mapping[str, Any], source: str) -> None:
        """Raises InputError where a checkpoint's `state` belongs to something else, naming what differs.

        Checkpoints of version 0.1.0 keep the fingerprint of the settings alone.
        """
        if "settings" in state:
            before, after = TrialConfig.from_dict(state["settings"], source=source).flat(), self.config.flat()
            changed = [path for path in after if before.get(path) != after[path]]
            if changed:
                them = ", ".join(
                    f"{path} is {before.get(path)} in the checkpoint, {after[path]} now" for path in changed
                )
                raise InputError(f"{source}: {them}; start anew or restore the settings")
        elif state["fingerprint"] != self.config.fingerprint():
            raise InputError(f"{source}: the checkpoint belongs to other settings; start anew or restore the settings")
        if self.data is not None and state.get("data") not in (None, self.data):
            raise InputError(
                f"{source}: the checkpoint was trained on the data set {state['data']}, this one is {self.data}; "
                "start anew or give the same photographs"
            )
        if state.get("init") != self.init:
            kept, now = (name or "random ones" for name in (state.get("init"), self.init))
            raise InputError(f"{source}: training began with other weights ({kept}, now {now}); start anew with these")
        chosen = [self.selection.metric, self.selection.mode]
        if state.get("selection", chosen) != chosen:
            raise InputError(
                f"{source}: the checkpoint keeps the weights with the best {state['selection'][0]}, not those with the "
                f"best {chosen[0]}; start anew or choose by {state['selection'][0]}"
            )


@cache
def code_version() -> str:
    """The version of this package and, where it is known, the commit of its source."""
    commit = git_commit()
    return f"{version('gkm')} ({commit})" if commit else version("gkm")


def read_checkpoint(store: TrialStore, identity: Identity) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint in `store`, if any, and what is to be said of it.

    Said is why it is not a newer one, and that other code wrote it: the result may then be one that neither would give.

    Raises InputError where it belongs to other settings, photographs or another selection.
    """
    with store.latest_checkpoint() as found:
        notes = [found.note] if found.note else []
        if found.directory is None:
            return None, notes
        checkpoint = load_checkpoint(found.directory)
    identity.check(checkpoint.state, store.place)
    written, now = checkpoint.state.get("code", code_version()), code_version()
    if written != now:
        notes.append(f"the checkpoint was written by gkm {written}, training goes on with {now}")
    return checkpoint, notes
