"""Training learns, resumes exactly where it was, and says where it diverged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gkm.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.model.gkmnet import GKMNet
from gkm.training.context import LocalContext, WriteCheckpoint
from gkm.training.loop import Metrics, TrainingDivergedError, fit

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    optim=OptimConfig(learning_rate=1e-2),
    training=TrainingConfig(epochs=6, validate_every=2),
)


@dataclass(frozen=True)
class Crops:
    blurred_B3HW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class TwoBatches:
    """Random crops that depend on the epoch alone; sharp is a brighter blurred, which a network can learn."""

    def __init__(self, factor: float = 1.3) -> None:
        self.factor = factor

    def epoch(self, epoch: int) -> Iterator[Crops]:
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(2):
            blurred = torch.rand(2, 3, 32, 32, generator=generator) * 0.5
            yield Crops(blurred, blurred * self.factor)


def _model() -> GKMNet:
    torch.manual_seed(0)
    return GKMNet(CONFIG.model)


def _validate(model: GKMNet) -> Mapping[str, float]:
    assert not model.training
    return {"val/psnr": 1.0}


class Stopped(Exception):  # noqa: N818
    pass


class StoppingContext(LocalContext):
    """Stops like a killed process: right after a report."""

    def __init__(self, directory: Path, at_epoch: int) -> None:
        super().__init__(directory)
        self.at_epoch = at_epoch

    def report(self, metrics: Mapping[str, float], write_checkpoint: WriteCheckpoint) -> None:
        super().report(metrics, write_checkpoint)
        if metrics["epoch"] >= self.at_epoch:
            raise Stopped


def test_the_loss_falls_and_every_validated_epoch_is_reported(tmp_path: Path) -> None:
    reported: list[Metrics] = []
    context = LocalContext(tmp_path, lambda metrics: reported.append(dict(metrics)))
    history = fit(_model(), TwoBatches(), _validate, CONFIG, context)
    assert [metrics["epoch"] for metrics in history] == [2, 4, 6]
    assert reported == history
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert history[-1]["learning_rate"] == pytest.approx(1e-3)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    undisturbed = _model()
    expected = fit(undisturbed, TwoBatches(), _validate, CONFIG, LocalContext(tmp_path / "a"))
    with pytest.raises(Stopped):
        fit(_model(), TwoBatches(), _validate, CONFIG, StoppingContext(tmp_path / "b", at_epoch=4))
    resumed = _model()
    history = fit(resumed, TwoBatches(), _validate, CONFIG, LocalContext(tmp_path / "b"))
    for name, tensor in undisturbed.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)
    for ours, theirs in zip(history, expected, strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == {k: v for k, v in theirs.items() if k != "seconds"}


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(_model(), TwoBatches(), _validate, CONFIG, StoppingContext(tmp_path, at_epoch=4))
    newest = max(tmp_path.glob("epoch-*"))
    (newest / "model.safetensors").write_bytes(b"torn")
    reported: list[float] = []
    context = LocalContext(tmp_path, lambda metrics: reported.append(metrics["epoch"]))
    fit(_model(), TwoBatches(), _validate, CONFIG, context)
    assert reported == [4, 6]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(_model(), TwoBatches(), _validate, CONFIG, StoppingContext(tmp_path, at_epoch=2))
    other = CONFIG.with_values({"optim.learning_rate": 1e-4})
    with pytest.raises(InputError, match="belongs to other settings"):
        fit(_model(), TwoBatches(), _validate, other, LocalContext(tmp_path))


def test_a_loss_that_is_not_a_number_names_epoch_step_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"epoch 1, step 1; lower optim\.learning_rate"):
        fit(_model(), TwoBatches(float("nan")), _validate, CONFIG, LocalContext(tmp_path))
    assert not list(tmp_path.glob("epoch-*"))
