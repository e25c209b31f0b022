"""A checkpoint of the authors' release in, the `official` variant of the network out, and back.

Checkpoints are plain state dicts: safetensors, or `.pth` files read without running any code they may hold.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gkm.config import GKMNetConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.state_dict import fill, read_state_dict, write_state_dict

BLOCKS = {
    "stem": "in_block",
    "encoder1": "conv_block1_1",
    "encoder2": "conv_block2_1",
    "bottleneck": "bottle_neck_1",
    "decoder1": "conv_block3_1",
    "decoder2": "conv_block4_1",
}
LAYERS = {
    "entry.conv": "conv.0",
    "entry.norm": "conv.1",
    "entry": "conv.0",
    "first.conv": "res_block.conv.0",
    "first.norm": "res_block.conv.1",
    "second.conv": "res_block.conv1.0",
    "second.norm": "res_block.conv1.1",
    **{
        f"attention.{ours}.{part}": f"ta.{theirs}.conv.{their_part}"
        for ours, theirs in (("column", "cw"), ("row", "hc"), ("spatial", "hw"))
        for part, their_part in (("conv", "conv"), ("norm", "bn"))
    },
}
PREDICTION = {
    "prediction.detail.conv": "APU.conv.conv.0",
    "prediction.detail.norm": "APU.conv.conv.1",
    "prediction.recurrent.conv": "APU.conv_atten.conv",
}
SUM_WEIGHT, SUM_BIAS = "SumLayer.conv.weight", "SumLayer.conv.bias"


def load_official(path: str | Path) -> GKMNet:
    """The network of the authors' release with the weights in `path` (.safetensors or .pth), in evaluation mode.

    Raises InputError naming the file and the first key that is missing, unknown or of the wrong shape.
    """
    path = Path(path)
    weights = read_state_dict(path)
    model = GKMNet(GKMNetConfig.official())
    expected = _official_state(model)
    fill(expected, weights, path)
    with torch.no_grad():
        _set_sum_weight(model, expected[SUM_WEIGHT])
    return model.eval()


def export_official(model: GKMNet, path: str | Path) -> None:
    """Write the weights of an `official` network as the release would: a state dict in .safetensors or .pth.

    Raises InputError for a network with other settings, and for other file names.
    """
    path = Path(path)
    if model.config != GKMNetConfig.official():
        raise InputError(
            f"{path}: the release's format holds GKMNetConfig.official() alone; give a network with these settings"
        )
    write_state_dict(_official_state(model), path)


def _official_state(model: GKMNet) -> dict[str, Tensor]:
    """The network's own tensors by the release's names, but for the sum layer's weight, which is laid out anew."""
    prefix = "blocks.0."
    own = {name.removeprefix(prefix): tensor for name, tensor in model.state_dict().items()}
    omegas = torch.stack((own.pop("omega_y")[0], own.pop("omega_x")[0]), dim=1)
    state = {_official_name(name): tensor for name, tensor in own.items()}
    state[SUM_WEIGHT] = omegas.reshape(3, -1, 1, 1)
    return state


def _set_sum_weight(model: GKMNet, weight: Tensor) -> None:
    own = model.state_dict()
    omegas = weight.view(3, 2, 3, -1)
    own["blocks.0.omega_y"].copy_(omegas[None, :, 0])
    own["blocks.0.omega_x"].copy_(omegas[None, :, 1])


def _official_name(name: str) -> str:
    """The release's name of one of our tensors, such as "in_block.conv.0.weight" for "sram.stem.entry.weight"."""
    if name == "bias":
        return SUM_BIAS
    layer, _, kind = name.removeprefix("sram.").rpartition(".")
    if layer in PREDICTION:
        return f"{PREDICTION[layer]}.{kind}"
    block, _, layer = layer.partition(".")
    return f"{BLOCKS[block]}.{LAYERS[layer]}.{kind}"
