"""Settings of a network, and perhaps weights of before, in; the network as its training begins, out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import gettempdir

import torch

from gkm import storage
from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.networks import Network, build
from gkm.training.checkpoint import CONFIG_NAME, WEIGHTS_NAME, damage, load_weights
from gkm.training.scratch import scratch


def begin(config: TrialConfig, init: str | None = None) -> Network:
    """A network with the settings of `config`: random weights by its seed, or those in the sealed folder at `init`.

    Raises InputError where those are missing, damaged, or of a network with other settings.
    """
    torch.manual_seed(config.training.seed)
    model = build(config.model)
    if init is None:
        return model
    with scratch(Path(gettempdir()), "gkm-trial-") as folder:
        storage.fetch(init, folder / "weights")
        if (name := damage(folder / "weights", (WEIGHTS_NAME, CONFIG_NAME))) is not None:
            raise InputError(f"{storage.join(init, name)}: is missing or damaged; delete {init} and start again")
        kept = load_weights(folder / "weights", init)
    if config.model.apart_from(kept.config):
        raise InputError(f"{init}: holds weights of a network with other settings; begin with other weights")
    model.load_state_dict(kept.state_dict())
    return model


def weights_digest(model: Network) -> str:
    """Twelve hexadecimal digits of a network's weights and statistics, and of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
