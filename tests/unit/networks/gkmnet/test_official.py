"""The authors' release: same function, same files."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.official import export_official, load_official


@pytest.fixture(scope="module")
def parity(shared_data):
    return shared_data / "official_parity"


@pytest.mark.parametrize("folded", [False, True])
def test_outputs_are_the_releases(parity, folded):
    model = load_official(parity / "weights.safetensors")
    if folded:
        model = model.for_inference()
    recorded = load_file(parity / "io.safetensors")
    with torch.no_grad():
        outputs = model(recorded["blurred"])
    assert len(outputs) == 3
    for scale, output in enumerate(outputs, 1):
        assert (output - recorded[f"scale_{scale}_output"]).abs().max() < 1e-5


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_round_trip_is_exact(parity, tmp_path, suffix):
    written = tmp_path / f"copy.{suffix}"
    export_official(load_official(parity / "weights.safetensors"), written)
    weights = load_file(written) if suffix == "safetensors" else torch.load(written, weights_only=True)
    original = load_file(parity / "weights.safetensors")
    assert weights.keys() == original.keys()
    assert all(torch.equal(weights[name], original[name]) for name in original)
    again = load_official(written)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            again.state_dict().values(),
            load_official(parity / "weights.safetensors").state_dict().values(),
            strict=True,
        )
    )
    assert [path.name for path in tmp_path.iterdir()] == [written.name]


def test_names_and_shapes_are_the_releases(parity, tmp_path):
    export_official(GKMNet(ModelConfig.official()), tmp_path / "fresh.safetensors")
    layout = json.loads((parity / "state_dict_layout.json").read_text())
    written = load_file(tmp_path / "fresh.safetensors")
    assert {name: [list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in written.items()} == layout


@pytest.fixture
def weights(tmp_path):
    export_official(GKMNet(ModelConfig.official()), tmp_path / "whole.safetensors")
    return load_file(tmp_path / "whole.safetensors")


def test_missing_unknown_and_misshapen_keys_are_named(weights, tmp_path):
    path = tmp_path / "changed.safetensors"
    key = "APU.conv_atten.conv.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != key}, path)
    with pytest.raises(InputError, match=rf"changed.safetensors: {key} is missing"):
        load_official(path)
    save_file({**weights, "APU.extra": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"APU.extra is no weight"):
        load_official(path)
    save_file({**weights, key: weights[key][:, :75].contiguous()}, path)
    with pytest.raises(InputError, match=rf"{key} has the shape \[176, 75, 5, 5\].*\[176, 76, 5, 5\]"):
        load_official(path)


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_files_that_are_no_state_dict_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match=r"absent.pth: cannot be read"):
        load_official(tmp_path / "absent.pth")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(InputError, match=r"text.safetensors: is no state dict"):
        load_official(tmp_path / "text.safetensors")
    torch.save({"weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match=r"hostile.pth: is no state dict"):
        load_official(tmp_path / "hostile.pth")
    assert "must not run" not in capsys.readouterr().out
    torch.save({"epoch": 3}, tmp_path / "nested.pth")
    with pytest.raises(InputError, match=r"nested.pth: holds more than a plain state dict"):
        load_official(tmp_path / "nested.pth")


def test_other_networks_are_not_exported(tmp_path):
    with pytest.raises(InputError, match=r"GKMNetConfig.official\(\)"):
        export_official(GKMNet(ModelConfig(width=2)), tmp_path / "ours.pth")
    with pytest.raises(InputError, match=r"ours.bin"):
        export_official(GKMNet(ModelConfig.official()), tmp_path / "ours.bin")
    assert list(tmp_path.iterdir()) == []
