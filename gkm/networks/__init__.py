"""Networks: settings in, a network out; what it takes; checkpoints of its authors.

`gkm.networks.network` says what a network is. Each is a folder of this package; `register` adds those of others.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gkm.config import NetworkConfig, network_kinds
from gkm.errors import InputError
from gkm.networks.kinds import find_kind, register
from gkm.networks.network import Kind, Network

if TYPE_CHECKING:
    from gkm.networks.complexity import Complexity

__all__ = ["Kind", "Network", "build", "load_official", "measure", "register"]


def build(settings: NetworkConfig) -> Network:
    """The untrained network that `settings` describe, on the CPU, its start drawn from PyTorch's random numbers."""
    return find_kind(settings.kind).build(settings)


def load_official(path: str | Path, kind: str) -> Network:
    """The network in a checkpoint as the authors of the network `kind` release them, in evaluation mode.

    Files are .safetensors, .npz or .pth, which are read without running code that they may hold. Raises InputError
    naming the file and what is wrong with it, or the networks whose checkpoints can be read.
    """
    readable = [name for name in network_kinds() if find_kind(name).load_official is not None]
    if kind not in readable:
        raise InputError(f"{kind}: is no network with released checkpoints; choose from {', '.join(readable)}")
    read = find_kind(kind).load_official
    assert read is not None
    return read(path)


def measure(network: Network, height: int, width: int) -> Complexity:
    """What `network` takes for one image of `height` x `width` pixels, counted without running it."""
    from gkm.networks import complexity

    return complexity.measure(network, height, width)
