"""A trial's store and its settings in; the checkpoint that training goes on from, or a refusal, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gkm.config import TrialConfig
from gkm.errors import InputError
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

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this."""
        return {
            "fingerprint": self.config.fingerprint(),
            "settings": self.config.model_dump(mode="json"),
            "selection": [self.selection.metric, self.selection.mode],
            "data": self.data,
        }

    def check(self, state: Mapping[str, Any], source: str) -> None:
        """Raises InputError where a checkpoint's `state` belongs to something else, naming what differs.

        Checkpoints of version 0.1.0 keep the fingerprint of the settings alone.
        """
        if "settings" in state:
            kept = TrialConfig.from_dict(state["settings"], source=source).flat()
            for key, value in self.config.flat().items():
                if kept[key] != value:
                    raise InputError(
                        f"{source}: {key} is {kept[key]} in the checkpoint, {value} now; "
                        "start anew or restore the settings"
                    )
        elif state["fingerprint"] != self.config.fingerprint():
            raise InputError(f"{source}: the checkpoint belongs to other settings; start anew or restore the settings")
        if self.data is not None and state.get("data") not in (None, self.data):
            raise InputError(
                f"{source}: the checkpoint was trained on the data set {state['data']}, this one is {self.data}; "
                "start anew or give the same photographs"
            )
        now = [self.selection.metric, self.selection.mode]
        if state.get("selection", now) != now:
            raise InputError(
                f"{source}: the checkpoint keeps the weights with the best {state['selection'][0]}, not those with the "
                f"best {now[0]}; start anew or choose by {state['selection'][0]}"
            )


def read_checkpoint(store: TrialStore, identity: Identity) -> tuple[Checkpoint | None, str | None]:
    """The newest whole checkpoint in `store`, if any, and why it is not a newer one.

    Raises InputError where it belongs to other settings, photographs or another selection.
    """
    with store.latest_checkpoint() as found:
        if found.directory is None:
            return None, found.note
        checkpoint = load_checkpoint(found.directory)
    identity.check(checkpoint.state, store.place)
    return checkpoint, found.note
