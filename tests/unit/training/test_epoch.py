"""What a step keeps in memory, whole and in pieces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gkm.config import TrialConfig
from gkm.networks import Network, build
from gkm.networks.network import Progress
from gkm.training import recomputing
from gkm.training.context import LocalContext
from gkm.training.epoch import Trainer
from gkm.training.group import has_batch_norm
from gkm.training.store import open_store

SMALL: dict[str, dict[str, Any]] = {
    "gkmnet": {"model.num_kernels": 3, "model.max_kernel_size": 5, "model.num_scales": 2, "model.width": 8},
    "nrknet": {"model.num_kernels": 3, "model.num_scales": 2, "model.width": 8},
    "dpdnet": {"model.width": 8, "model.depth": 3},
    "dmenet": {"model.width": 8},
}


@dataclass(frozen=True)
class Step:
    """What a step leaves."""

    kept_bytes: int
    """The most that was held for gradients at once, weights apart."""
    gradients: dict[str, Tensor]
    model: Network


class Kept:
    """Storages that are held for gradients."""

    def __init__(self, model: Network) -> None:
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self.storages: dict[int, int] = {}

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._weights:
            self.storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    def checkpoint(self, function: Any, *inputs: Any, **options: Any) -> Any:
        """`torch.utils.checkpoint.checkpoint`, which holds its inputs by itself."""
        for part in (part for found in inputs for part in (found if isinstance(found, tuple) else (found,))):
            if isinstance(part, Tensor):
                self.note(part)
        return checkpoint(function, *inputs, **options)


def _step(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pieces: int) -> Step:
    """A step of four crops, without the change of weights."""
    settings = {"model.kind": kind, **SMALL[kind], "data.batch_size": 4, "training.accumulate": pieces}
    config = TrialConfig().with_values(settings)
    torch.manual_seed(0)
    model = build(config.model).train()
    trainer = Trainer(model, torch.optim.Adam(model.parameters()), config, LocalContext(open_store(str(folder))))
    most, inner = [0], trainer._loss

    def watched(*arguments: Any) -> Tensor:
        kept = Kept(model)
        monkeypatch.setattr(recomputing, "checkpoint", kept.checkpoint)
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
            loss = inner(*arguments)
        most[0] = max(most[0], sum(kept.storages.values()))
        return loss

    monkeypatch.setattr(trainer, "_loss", watched)
    blurred, sharp = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    trainer._gradients(blurred, sharp, Progress(0, 1))
    gradients = {name: part.grad for name, part in model.named_parameters() if part.grad is not None}
    return Step(most[0], gradients, model)


@pytest.mark.parametrize(("kind", "share"), [("gkmnet", 0.6), ("nrknet", 0.8), ("dpdnet", 0.4), ("dmenet", 0.7)])
def test_pieces_need_less_memory_for_the_same_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, share: float
) -> None:
    whole = _step(tmp_path / "1", monkeypatch, kind, 1)
    pieces = _step(tmp_path / "4", monkeypatch, kind, 4)
    assert pieces.kept_bytes < share * whole.kept_bytes
    exactly = has_batch_norm(whole.model)
    assert exactly == (kind != "dpdnet")
    rtol, atol = (0.0, 0.0) if exactly else (1e-3, 1e-6)
    assert pieces.gradients.keys() == whole.gradients.keys()
    for name, gradient in whole.gradients.items():
        torch.testing.assert_close(pieces.gradients[name], gradient, rtol=rtol, atol=atol)
    statistics = dict(pieces.model.named_buffers())
    for name, buffer in whole.model.named_buffers():
        torch.testing.assert_close(statistics[name], buffer, rtol=0, atol=0)


def test_training_leaves_ordinary_batch_norms_and_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _step(tmp_path, monkeypatch, "gkmnet", 4).model
    assert list(model.state_dict()) == list(build(model.config).state_dict())
    assert any(type(part) is nn.BatchNorm2d for part in model.modules())
