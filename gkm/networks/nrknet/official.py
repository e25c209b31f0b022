"""A checkpoint of the authors' release in, the `official` network out, and back."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gkm.config.nrknet import NRKNetConfig
from gkm.errors import InputError
from gkm.networks.nrknet.nrknet import NRKNet
from gkm.networks.state_dict import fill, read_state_dict, write_state_dict

LAYERS = {
    "features.stem": "feat_extract.0.main.0",
    "features.down2": "feat_extract.1.main.0",
    "features.down3": "feat_extract.2.main.0",
    "features.up2": "feat_extract.3.main.0",
    "features.up1": "feat_extract.4.main.0",
    "features.bottleneck": "bottleneck.0.main.0",
    "coefficients.recurrent.conv": "APU.conv_atten.conv",
    "coefficients.detail": "APU.conv.main.0",
    "coefficients.norm": "APU.conv.main.1",
    "blur.mixing": "SummationLayer.conv",
}
STAGES = {
    "features.encoder1": "Encoder.0",
    "features.encoder2": "Encoder.1",
    "features.encoder3": "Encoder.2",
    "features.bottleneck_blocks": "bottleneck.1",
    "features.decoder3": "Decoder.0",
    "features.decoder2": "Decoder.1",
    "features.decoder1": "Decoder.2",
}
OF_A_BLOCK = {"first": "main.0.main.0", "second": "main.1.main.0"}
OUR_KERNELS, THEIR_KERNELS = "blur.kernels.logits_K32", "GCM.kernels"


def load_official(path: str | Path) -> NRKNet:
    """The network of the authors' release with the weights in `path` (.safetensors or .pth), in evaluation mode.

    Raises InputError naming the file and the first key that is missing, unknown or of the wrong shape.
    """
    path = Path(path)
    weights = read_state_dict(path)
    network = NRKNet(NRKNetConfig.official())
    fill(_official_state(network), weights, path)
    return network.eval()


def export_official(network: NRKNet, path: str | Path) -> None:
    """Write the weights of an `official` network as the release would: a state dict in .safetensors or .pth.

    Raises InputError for a network with other settings, and for other file names.
    """
    path = Path(path)
    if network.config != NRKNetConfig.official():
        raise InputError(
            f"{path}: the release's format holds NRKNetConfig.official() alone; give a network with these settings"
        )
    write_state_dict(_official_state(network), path)


def _official_state(network: NRKNet) -> dict[str, Tensor]:
    """The network's own tensors by the release's names; the kernels' three colours are rows of their own there."""
    own = dict(network.state_dict())
    kernels = own.pop(OUR_KERNELS)
    state = {_official_name(name): tensor for name, tensor in own.items()}
    state[THEIR_KERNELS] = kernels.view(-1, 1, 1, 2)
    return state


def _official_name(name: str) -> str:
    """The release's name of one of our tensors, such as "Encoder.0.layers.0.main.1.main.0.weight"."""
    layer, _, kind = name.rpartition(".")
    if layer in LAYERS:
        return f"{LAYERS[layer]}.{kind}"
    stage, block, which = layer.rsplit(".", 2)
    return f"{STAGES[stage]}.layers.{block}.{OF_A_BLOCK[which]}.{kind}"
