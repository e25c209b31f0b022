"""NRKNet's released checkpoints: the same files, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gkm.config import GKMNetConfig
from gkm.config.nrknet import NRKNetConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.official import export_official as export_gkmnet
from gkm.networks.nrknet import NRKNet
from gkm.networks.nrknet.official import export_official, load_official


def test_names_and_shapes_are_the_releases(shared_data, tmp_path):
    export_official(NRKNet(NRKNetConfig.official()), tmp_path / "fresh.safetensors")
    layout = json.loads((shared_data / "nrknet_parity" / "state_dict_layout.json").read_text())
    written = load_file(tmp_path / "fresh.safetensors")
    assert {name: [list(tensor.shape), str(tensor.dtype)] for name, tensor in written.items()} == layout


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_round_trip_is_exact(shared_data, tmp_path, suffix):
    original = load_file(shared_data / "nrknet_parity" / "weights_fp16.safetensors")
    network = load_official(shared_data / "nrknet_parity" / "weights_fp16.safetensors")
    export_official(network, tmp_path / f"copy.{suffix}")
    path = tmp_path / f"copy.{suffix}"
    written = load_file(path) if suffix == "safetensors" else torch.load(path, weights_only=True)
    assert written.keys() == original.keys()
    assert all(torch.equal(written[name], original[name].to(written[name].dtype)) for name in original)
    again = load_official(path).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    export_official(NRKNet(NRKNetConfig.official()), path)
    return load_file(path)


def test_names_of_parallel_training_are_understood(weights, tmp_path):
    torch.save({f"module.{name}": tensor for name, tensor in weights.items()}, tmp_path / "parallel.pth")
    kernels = load_official(tmp_path / "parallel.pth").blur.kernels.logits_K32
    assert torch.equal(kernels.detach().flatten(0, 1), weights["GCM.kernels"][:, 0, 0])


def test_missing_unknown_and_misshapen_keys_are_named(weights, tmp_path):
    path = tmp_path / "changed.safetensors"
    key = "Decoder.1.layers.0.main.1.main.0.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != key}, path)
    with pytest.raises(InputError, match=rf"changed.safetensors: {key} is missing"):
        load_official(path)
    save_file({**weights, "APU.extra": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"APU.extra is no weight"):
        load_official(path)
    save_file({**weights, key: weights[key][:, :64].contiguous()}, path)
    with pytest.raises(InputError, match=rf"{key} has the shape \[128, 64, 3, 3\].*\[128, 128, 3, 3\]"):
        load_official(path)


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_and_other_networks_are_refused(tmp_path, capsys):
    torch.save({"GCM.kernels": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match=r"hostile.pth: is no state dict that can be read without running code"):
        load_official(tmp_path / "hostile.pth")
    assert "must not run" not in capsys.readouterr().out
    export_gkmnet(GKMNet(GKMNetConfig.official()), tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: \S+ is no weight of the authors' release"):
        load_official(tmp_path / "other.pth")


def test_other_settings_and_names_are_not_exported(tmp_path):
    with pytest.raises(InputError, match=r"NRKNetConfig.official\(\)"):
        export_official(NRKNet(NRKNetConfig(width=2)), tmp_path / "ours.pth")
    with pytest.raises(InputError, match=r"ours.bin"):
        export_official(NRKNet(NRKNetConfig.official()), tmp_path / "ours.bin")
    assert list(tmp_path.iterdir()) == []
