"""A trained network in; what another training begins with, kept in that training's own place, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from gkm import storage
from gkm.config import NetworkConfig
from gkm.errors import InputError
from gkm.networks import Network
from gkm.training.checkpoint import CONFIG_NAME, SUMS_NAME, WEIGHTS_NAME, damage, load_weights, save_weights, seal
from gkm.training.course.beginning import weights_digest
from gkm.training.scratch import scratch

INIT, INIT_DIGEST = "gkm.init", "gkm.init_digest"
"""Tags: the weights that a run began with, as its user named them, and their digest."""
_FOLDER = "init"


def initial_place(place: str) -> str:
    """Where a training at `place` keeps the weights that it began with."""
    return storage.join(place, _FOLDER)


@dataclass(frozen=True)
class Initial:
    """Weights that a training begins with instead of random ones."""

    network: Network
    source: str
    """Whence, in words."""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the weights."""
        return weights_digest(self.network)

    @property
    def tags(self) -> dict[str, str]:
        """For the run of the training."""
        return {INIT: self.source, INIT_DIGEST: self.digest}

    def check(self, model: NetworkConfig) -> None:
        """Raises InputError where a network with the settings `model` cannot have these weights, and why."""
        there = self.network.config
        if different := model.apart_from(there):
            name = different[0]
            raise InputError(
                f"{self.source}: has model.{name} = {getattr(there, name, None)}, "
                f"but the settings say {getattr(model, name, None)}; "
                "leave the settings of the network out, or begin with other weights"
            )

    def keep(self, place: str) -> str:
        """Copy the weights to the training at `place`, unless they are there; returns where they are."""
        kept = initial_place(place)
        if not storage.exists(storage.join(kept, SUMS_NAME)):
            with scratch(Path(gettempdir()), "gkm-trial-") as folder:
                seal(save_weights(self.network, folder), (WEIGHTS_NAME, CONFIG_NAME))
                storage.upload_folder(folder, kept, last=SUMS_NAME)
        return kept


def read_initial(place: str, source: str) -> Initial:
    """What the training at `place` began with, which its run calls `source`.

    Raises InputError where its copy is missing or damaged.
    """
    kept = initial_place(place)
    with scratch(Path(gettempdir()), "gkm-trial-") as folder:
        try:
            storage.fetch(kept, folder / "weights")
        except InputError:
            raise InputError(f"{kept}: the weights that training began with are gone; train anew from others") from None
        if (name := damage(folder / "weights", (WEIGHTS_NAME, CONFIG_NAME))) is not None:
            raise InputError(f"{storage.join(kept, name)}: is missing or damaged; train anew from other weights")
        return Initial(load_weights(folder / "weights", kept), source)
