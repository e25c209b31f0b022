"""Checkpoints come back as they were, and damaged ones are refused."""

from pathlib import Path

import pytest
import torch

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.training.checkpoint import is_complete, load_checkpoint, load_weights, save_checkpoint, save_weights

CONFIG = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2)


def _trained() -> tuple[GKMNet, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = GKMNet(CONFIG)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(torch.rand(1, 3, 32, 32))[-1].square().mean().backward()
    optimizer.step()
    return model, optimizer


def test_weights_give_the_same_network_back(tmp_path: Path) -> None:
    model, _ = _trained()
    restored = load_weights(save_weights(model, tmp_path / "weights"))
    photo = torch.rand(1, 3, 37, 41)
    torch.testing.assert_close(restored(photo)[-1], model.eval()(photo)[-1], rtol=0, atol=0)
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == ["model.json", "model.safetensors"]


def test_a_checkpoint_restores_weights_optimiser_and_state(tmp_path: Path) -> None:
    model, optimizer = _trained()
    checkpoint = load_checkpoint(save_checkpoint(model, optimizer, {"history": [{"epoch": 3.0}]}, tmp_path / "c"))
    assert checkpoint.state == {"history": [{"epoch": 3.0}]}
    fresh = GKMNet(CONFIG)
    fresh.load_state_dict(checkpoint.weights)
    other = torch.optim.Adam(fresh.parameters(), lr=0.5)
    other.load_state_dict(checkpoint.optimizer)
    assert other.param_groups[0]["lr"] == 1e-3
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            torch.testing.assert_close(other.state_dict()["state"][index][key], value)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "model.json"])
def test_a_changed_byte_anywhere_makes_a_checkpoint_incomplete(tmp_path: Path, name: str) -> None:
    directory = save_checkpoint(*_trained(), {"history": []}, tmp_path / "c")
    assert is_complete(directory)
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(bytes(content))
    assert not is_complete(directory)
    with pytest.raises(InputError, match="unfinished or damaged"):
        load_checkpoint(directory)


def test_a_checkpoint_without_its_sums_was_never_finished(tmp_path: Path) -> None:
    directory = save_checkpoint(*_trained(), {"history": []}, tmp_path / "c")
    (directory / "SHA256SUMS").unlink()
    assert not is_complete(directory)


def test_weights_that_are_missing_damaged_or_unfit_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: holds no weights"):
        load_weights(tmp_path / "nowhere")
    directory = save_weights(_trained()[0], tmp_path / "weights")
    (directory / "model.json").write_text(CONFIG.model_copy(update={"width": 3}).model_dump_json())
    with pytest.raises(InputError, match=r"does not fit model\.json"):
        load_weights(directory)
    (directory / "model.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(InputError, match="the weights are damaged"):
        load_weights(directory, source="gkmnet version 3")
