"""A checkpoint of the authors' release in, the network with its weights out.

The release's `.npz` files have TensorFlow's names and layouts, and hold what is for training alone, too. Conversions to
PyTorch (github.com/MoRanYue/ComfyUI-DMENet) hold the same weights by other names, and scales of norms that are all 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gkm.config.dmenet import DMENetConfig
from gkm.errors import InputError
from gkm.networks.dmenet.dmenet import DMENet
from gkm.networks.dmenet.map_network import HALVINGS, VGG19
from gkm.networks.state_dict import fill, read_state_dict

SCOPE = "main_net/defocus_net/"
"""In front of all names of the map network; what is beside it is for training alone."""
UNUSED = ("encoder/conv6_1/", "encoder/c_logits_1/", "encoder/c_logits_2/")
"""Layers that the release's encoder has, and its map does not depend on."""
CODES = 255
"""Largest value of the release's photographs, whose colours are blue, green and red."""
STATISTICS = {"running_mean": "moving_mean", "running_var": "moving_variance"}
CONVERTED = (
    (r"decoder/u0/_res(\d+)", r"decoder/refine/\1/res"),
    (r"decoder/u0/(\d+)_(\d)", r"decoder/refine/\1/c\2"),
    (r"decoder/u0/_init", r"decoder/u0_init"),
    (r"decoder/uf/(\d)", r"decoder/uf\1"),
    (r"decoder/(\w+)/(\d)", r"decoder/\1_\2"),
)
"""The release's layers as conversions name them."""


def load_official(path: str | Path) -> DMENet:
    """The network with the weights in `path`, in evaluation mode: the release's .npz, or a converted state dict.

    Raises InputError naming the file and the first weight that is missing, unknown or of the wrong shape.
    """
    path = Path(path)
    weights = read_state_dict(path)
    network = DMENet(DMENetConfig.paper())
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    layers = dict(_layers(network.config.refinements))
    if any(name.startswith(SCOPE) for name in weights):
        fill({_official_name(name, layers): tensor for name, tensor in own.items()}, _of_maps(weights), path)
    else:
        fill({_converted_name(name, layers): tensor for name, tensor in own.items()}, _unscaled(weights, path), path)
    first = network.get_parameter("maps.encoder.0.0.weight")
    with torch.no_grad():
        first.copy_(first.flip(1) * CODES)
    return network.eval()


def _of_maps(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The release's weights of the map network, [H, W, I, O] turned to [O, I, H, W]."""
    names = [name for name in weights if name.startswith(SCOPE) and not name.startswith(UNUSED, len(SCOPE))]
    return {name: weights[name].permute(3, 2, 0, 1) if weights[name].ndim == 4 else weights[name] for name in names}


def _unscaled(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A conversion's weights without what the release's norms do not have; InputError where they have it."""
    for name, tensor in weights.items():
        if name.endswith(".bn.weight") and not bool((tensor == 1).all()):
            raise InputError(f"{path}: {name} scales, but the release's norms do not; give its own checkpoint")
    return {
        name: tensor for name, tensor in weights.items() if not name.endswith((".bn.weight", "num_batches_tracked"))
    }


def _layers(refinements: int) -> Iterator[tuple[str, str]]:
    """Our layers and the release's, in whose last part is no letter yet: c for a convolution, b for its norm."""
    for stage, (_, count) in enumerate(VGG19):
        yield from ((f"encoder.{stage}.{2 * place}", f"encoder/conv{stage + 1}_{place + 1}") for place in range(count))
    for stage in range(HALVINGS - 1):
        yield from ((f"decoder.{stage}.{place}", f"decoder/u{3 - stage}/{place + 1}") for place in range(3))
    yield f"decoder.{HALVINGS - 1}.0", "decoder/u0/_init"
    for head in range(HALVINGS + 1):
        yield f"auxiliary.{head}.hidden", f"decoder/u{HALVINGS - head}_aux/1"
        yield f"auxiliary.{head}", f"decoder/u{HALVINGS - head}_aux/2"
    for block in range(refinements):
        yield f"refinement.{block}.first", f"decoder/u0/{block}_1"
        yield f"refinement.{block}.second", f"decoder/u0/{block}_2"
        yield f"refinement.{block}.beside", f"decoder/u0/_res{block}"
    yield from ((f"last.{place}", f"decoder/uf/{place + 1}") for place in range(3))


def _official_name(name: str, layers: Mapping[str, str]) -> str:
    """The release's name of one of our tensors, such as "main_net/defocus_net/decoder/u3/c1/kernel:0"."""
    layer, kind, is_norm = _parts(name, layers)
    place, _, last = layer.rpartition("/")
    letter = "" if place == "encoder" else "b" if is_norm else "c"
    kinds = STATISTICS | ({"bias": "beta"} if is_norm else {"weight": "kernel"})
    return f"{SCOPE}{place}/{letter}{last}/{kinds.get(kind, kind)}:0"


def _converted_name(name: str, layers: Mapping[str, str]) -> str:
    """A conversion's name of one of our tensors, such as "decoder.u3_1.conv.conv.weight"."""
    layer, kind, is_norm = _parts(name, layers)
    wrapped = "bn" if is_norm else "conv" if layer.startswith("encoder") or layer == "decoder/uf/3" else "conv.conv"
    for theirs, converted in CONVERTED:
        layer = re.sub(f"^{theirs}$", converted, layer)
    return f"{layer.replace('/', '.')}.{wrapped}.{kind}"


def _parts(name: str, layers: Mapping[str, str]) -> tuple[str, str, bool]:
    """Of one of our tensors the release's layer, what it is there, and whether that is a norm."""
    layer, _, kind = name.removeprefix("maps.").rpartition(".")
    return layers[layer.removesuffix(".norm").removesuffix(".conv")], kind, layer.endswith(".norm")
