"""The average of the weights: what it is, that it is what counts, and that a stopped training resumes with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gkm.config import DataConfig, GKMNetConfig, LossConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.training.average import WeightAverage
from gkm.training.checkpoint import AVERAGE_NAME, is_complete, load_checkpoint, load_weights
from gkm.training.context import LocalContext
from gkm.training.loop import Validation, fit
from gkm.training.store import fetch_best, open_store

CONFIG = TrialConfig(
    model=GKMNetConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    optim=OptimConfig(learning_rate=1e-2),
    training=TrainingConfig(epochs=3, ema=0.9),
)


@dataclass(frozen=True)
class Crops:
    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class Batches:
    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(2):
            blurred = torch.rand(2, 3, 32, 32, generator=generator) * 0.5
            yield Crops(blurred, blurred * 1.3)


class Stopped(Exception):  # noqa: N818
    pass


def _fit(place: Path, stop_at: int | None = None) -> tuple[GKMNet, list[dict[str, Tensor]]]:
    """The network after training, and the weights that were validated in each epoch."""
    judged: list[dict[str, Tensor]] = []

    def validate(model: GKMNet) -> Validation:
        judged.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return Validation({"val/psnr": float(len(judged))})

    def on_report(metrics: Mapping[str, Any]) -> None:
        if metrics["epoch"] == stop_at:
            raise Stopped

    torch.manual_seed(0)
    model = GKMNet(CONFIG.model)
    context = LocalContext(open_store(str(place)), on_report)
    if stop_at is None:
        fit(model, Batches(), validate, CONFIG, context)  # type: ignore[arg-type]
    else:
        with pytest.raises(Stopped):
            fit(model, Batches(), validate, CONFIG, context)  # type: ignore[arg-type]
    return model, judged


def _assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=0)


def test_the_decay_warms_up() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 0.0)
    average, expected = WeightAverage(model, 0.25), 0.0
    nn.init.constant_(model.weight, 1.0)
    for decay in (1 / 10, 2 / 11, 0.25, 0.25):
        average.update()
        expected = decay * expected + 1 - decay
        assert average.tensors()["weight"].item() == pytest.approx(expected)
    with average.applied():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 1.0


def test_the_average_is_validated_and_kept_and_training_goes_on_without_it(tmp_path: Path) -> None:
    model, judged = _fit(tmp_path / "trial")
    directory = tmp_path / "trial" / "checkpoints" / "epoch-0000003"
    checkpoint = load_checkpoint(directory)
    assert checkpoint.average is not None
    assert checkpoint.state["average_updates"] == 6
    _assert_equal(judged[-1], checkpoint.average)
    _assert_equal(judged[-1], model.state_dict())
    best = load_weights(fetch_best(str(tmp_path / "trial"), 3, tmp_path / "best"))
    _assert_equal(judged[-1], best.state_dict())
    moved = [not torch.equal(checkpoint.weights[name], checkpoint.average[name]) for name in checkpoint.weights]
    assert sum(moved) > len(moved) / 2, "raw weights are others"
    (directory / AVERAGE_NAME).unlink()
    assert not is_complete(directory)


@pytest.mark.slow
def test_a_stopped_training_resumes_to_the_same_average(tmp_path: Path) -> None:
    undisturbed, judged = _fit(tmp_path / "a")
    _fit(tmp_path / "b", stop_at=2)
    resumed, last = _fit(tmp_path / "b")
    assert len(last) == 1
    _assert_equal(last[0], judged[-1])
    _assert_equal(resumed.state_dict(), undisturbed.state_dict())
    whole, continued = (load_checkpoint(tmp_path / name / "checkpoints" / "epoch-0000003") for name in "ab")
    _assert_equal(continued.weights, whole.weights)
    assert continued.average is not None
    _assert_equal(continued.average, whole.average or {})
