"""A checkpoint of the authors' release in, the `official` variant of the network out, and back.

Checkpoints are plain state dicts: safetensors, or `.pth` files read without running any code they may hold.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gkm.config import GKMNetConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet

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
REMEDY = "give a .safetensors or .pth file of the release"
SUM_WEIGHT, SUM_BIAS = "SumLayer.conv.weight", "SumLayer.conv.bias"


def load_official(path: str | Path) -> GKMNet:
    """The network of the authors' release with the weights in `path` (.safetensors or .pth), in evaluation mode.

    Raises InputError naming the file and the first key that is missing, unknown or of the wrong shape.
    """
    path = Path(path)
    weights = _read(path)
    model = GKMNet(GKMNetConfig.official())
    expected = _official_state(model)
    for name in weights:
        if name not in expected:
            raise InputError(f"{path}: {name} is no weight of the authors' release; give one of its checkpoints")
    for name, tensor in expected.items():
        if name not in weights:
            raise InputError(f"{path}: {name} is missing; give a complete checkpoint of the authors' release")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {name} has the shape {list(weights[name].shape)}, but the authors' release has "
                f"{list(tensor.shape)}; give a checkpoint of the unchanged release"
            )
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(weights[name])
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
    if path.suffix not in {".safetensors", ".pth"}:
        raise InputError(f"{path}: weights are written as .safetensors or .pth; choose one of these names")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in _official_state(model).items()}
    unfinished = path.with_name(f".{path.name}.unfinished")
    if path.suffix == ".pth":
        torch.save(state, unfinished)
    else:
        save_file(state, unfinished)
    os.replace(unfinished, path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {REMEDY}") from None
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise InputError(f"{path}: is no state dict that can be read without running code; {REMEDY}") from None
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise InputError(f"{path}: holds more than a plain state dict; give the network's state dict alone")
    return weights


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
