"""Training learns, resumes exactly where it was, and says where it diverged."""

import errno
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor

from gkm.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.training.best import PhotographScore
from gkm.training.checkpoint import CHECKPOINT_NAMES, STATE_NAME, load_weights, seal
from gkm.training.context import LocalContext
from gkm.training.loop import Metrics, TrainingDivergedError, Validation, fit
from gkm.training.selection import Selection
from gkm.training.store import fetch_best, list_pictures, open_store, read_history, read_validation

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    data=DataConfig(crop_pixels=32, batch_size=2),
    loss=LossConfig(schedule="l2"),
    optim=OptimConfig(learning_rate=1e-2),
    training=TrainingConfig(epochs=6, validate_every=2),
)


@dataclass(frozen=True)
class Crops:
    input_BCHW: Tensor  # noqa: N815
    sharp_B3HW: Tensor  # noqa: N815


class TwoBatches:
    """Random crops that depend on the epoch alone; sharp is a brighter blurred, which a network can learn."""

    def __init__(self, factor: float = 1.3) -> None:
        self.factor = factor

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(2):
            blurred = torch.rand(2, 3, 32, 32, generator=generator) * 0.5
            yield Crops(blurred, blurred * self.factor)


def _model() -> GKMNet:
    torch.manual_seed(0)
    return GKMNet(CONFIG.model)


PSNR = {2: 30.0, 4: 32.0, 6: 31.0}
"""By epoch, as `Scores` gives them."""


class Scores:
    """Validation scores that depend on how often they were asked for alone: one call for each validated epoch."""

    def __init__(self, skip: int = 0) -> None:
        self.values = list(PSNR.values())[skip:]

    def __call__(self, model: GKMNet) -> Validation:
        assert not model.training
        psnr = self.values.pop(0)
        metrics = {"val/psnr": psnr, "val/loss": 10 ** (-psnr / 10)}
        return Validation(metrics, (PhotographScore("scene", "0", psnr, 0.9),))


class Stopped(Exception):  # noqa: N818
    pass


def _context(place: Path, stop_at: int | None = None, heard: list[dict[str, Any]] | None = None) -> LocalContext:
    """A context that stops like a killed process, right after a report."""

    def on_report(metrics: Mapping[str, Any]) -> None:
        if heard is not None:
            heard.append(dict(metrics))
        if stop_at is not None and metrics["epoch"] >= stop_at:
            raise Stopped

    return LocalContext(open_store(str(place)), on_report)


def _stopped(place: Path, epoch: int) -> None:
    with pytest.raises(Stopped):
        fit(_model(), TwoBatches(), Scores(), CONFIG, _context(place, epoch))


def _lasting(metrics: Metrics) -> Metrics:
    """What another run of the same repeats to the bit."""
    return {key: value for key, value in metrics.items() if not key.startswith(("seconds", "time", "system/"))}


def test_the_loss_falls_and_every_validated_epoch_is_reported(tmp_path: Path) -> None:
    reported: list[dict[str, Any]] = []
    history = fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path, heard=reported))
    assert [metrics["epoch"] for metrics in history] == [2, 4, 6]
    assert reported == history
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert history[-1]["learning_rate"] == pytest.approx(1e-3)
    assert history[-1]["system/memory_gigabytes"] > 0.01
    assert history[-1]["system/cpu_percent"] > 0
    assert history[0]["time"] < history[-1]["time"] <= time.time()


@pytest.mark.parametrize(
    ("selection", "best"),
    [
        (Selection(), [(2, 30.0), (4, 32.0), (4, 32.0)]),
        (Selection("val/psnr", "min"), [(2, 30.0), (2, 30.0), (2, 30.0)]),
        (Selection("val/loss", "min"), [(2, 1e-3), (4, 10**-3.2), (4, 10**-3.2)]),
    ],
)
def test_the_best_so_far_is_reported_and_its_weights_and_scores_are_kept(
    tmp_path: Path, selection: Selection, best: list[tuple[int, float]]
) -> None:
    history = fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path / "trial"), selection=selection)
    assert [(m["best/epoch"], m[selection.best_key]) for m in history] == [(e, pytest.approx(v)) for e, v in best]
    epoch = best[-1][0]
    assert [path.name for path in (tmp_path / "trial" / "best").iterdir()] == [f"epoch-{epoch:07d}"]
    assert read_validation(str(tmp_path / "trial"), epoch) == [PhotographScore("scene", "0", PSNR[epoch], 0.9)]
    load_weights(fetch_best(str(tmp_path / "trial"), epoch, tmp_path / "weights"))


def test_a_metric_that_is_not_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val/psrn: is not measured during training; choose from .*val/psnr"):
        fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path), selection=Selection("val/psrn"))


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    undisturbed = _model()
    expected = fit(undisturbed, TwoBatches(), Scores(), CONFIG, _context(tmp_path / "a"))
    _stopped(tmp_path / "b", 4)
    resumed, heard = _model(), list[dict[str, Any]]()
    history = fit(resumed, TwoBatches(), Scores(2), CONFIG, _context(tmp_path / "b", heard=heard))
    for name, tensor in undisturbed.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)
    assert [_lasting(metrics) for metrics in history] == [_lasting(metrics) for metrics in expected]
    assert heard == history, "epochs from before are reported again, with the times of the first time"


def test_a_trial_killed_between_its_best_weights_and_its_checkpoint_has_what_its_history_names(tmp_path: Path) -> None:
    _stopped(tmp_path, 4)
    shutil.rmtree(tmp_path / "checkpoints" / "epoch-0000004")
    history = fit(_model(), TwoBatches(), Scores(1), CONFIG, _context(tmp_path))
    assert [metrics["best/epoch"] for metrics in history] == [2, 4, 4]
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["epoch-0000004"]


def test_a_torn_checkpoint_is_passed_over_for_the_one_before_and_it_is_said(tmp_path: Path) -> None:
    _stopped(tmp_path, 4)
    (tmp_path / "checkpoints" / "epoch-0000004" / "model.safetensors").write_bytes(b"torn")
    heard: list[dict[str, Any]] = []
    fit(_model(), TwoBatches(), Scores(1), CONFIG, _context(tmp_path, heard=heard))
    assert [metrics["epoch"] for metrics in heard] == [2, 4, 6]
    assert heard[0]["note"] == "checkpoint of epoch 4 is damaged; training goes on from epoch 2"
    assert all("note" not in metrics for metrics in [*heard[1:], *read_history(str(tmp_path))])
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


@pytest.mark.slow
def test_without_any_whole_checkpoint_training_starts_anew_and_says_so(tmp_path: Path) -> None:
    _stopped(tmp_path, 4)
    for path in tmp_path.glob("checkpoints/*/state.json"):
        path.write_bytes(b"torn")
    heard: list[dict[str, Any]] = []
    fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path, heard=heard))
    assert heard[0]["note"].endswith("no checkpoint is whole; training starts anew")
    assert [metrics["epoch"] for metrics in heard] == [2, 4, 6]
    assert [metrics["epoch"] for metrics in read_history(str(tmp_path))] == [2, 4, 6]


@pytest.mark.parametrize(
    ("change", "other", "sentence"),
    [
        ({"model.width": 4}, {}, "model.width is 2 in the checkpoint, 4 now"),
        ({"optim.learning_rate": 1e-4}, {}, "optim.learning_rate is 0.01 in the checkpoint, 0.0001 now"),
        ({}, {"data": "other"}, "trained on the data set photos, this one is other"),
        ({}, {"selection": Selection("val/loss", "min")}, "with the best val/psnr, not those with the best val/loss"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], other: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Stopped):
        fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path, 2), data="photos")
    config = CONFIG.with_values(change)
    with pytest.raises(InputError, match=sentence):
        fit(GKMNet(config.model), TwoBatches(), Scores(), config, _context(tmp_path), **{"data": "photos", **other})


def test_a_checkpoint_of_version_0_1_0_goes_on(tmp_path: Path) -> None:
    _stopped(tmp_path, 4)
    shutil.rmtree(tmp_path / "best")
    for directory in (tmp_path / "checkpoints").iterdir():
        content = json.loads((directory / STATE_NAME).read_text())
        old = ("epoch", "train/loss", "learning_rate", "val/psnr", "val/loss", "seconds")
        history = [{key: metrics[key] for key in old} for metrics in content["training"]["history"]]
        content["training"] = {"history": history, "fingerprint": CONFIG.fingerprint()}
        (directory / STATE_NAME).write_text(json.dumps(content))
        seal(directory, CHECKPOINT_NAMES)
        directory.rename(tmp_path / directory.name)
    with pytest.raises(InputError, match="belongs to other settings"):
        fit(_model(), TwoBatches(), Scores(), CONFIG.with_values({"training.seed": 1}), _context(tmp_path))
    history = fit(_model(), TwoBatches(), Scores(2), CONFIG, _context(tmp_path), data="photos")
    assert [metrics["epoch"] for metrics in history] == [2, 4, 6]
    assert history[-1]["best/epoch"] == 6, "the only weights there are"


def test_pictures_are_kept_of_the_validations_that_have_one(tmp_path: Path) -> None:
    draw = {1: b"one", 2: None, 3: b"three"}
    fit(_model(), TwoBatches(), Scores(), CONFIG, _context(tmp_path), draw=lambda number, model: draw[number])
    assert list_pictures(str(tmp_path)) == [2, 6]


def test_a_loss_that_is_not_a_number_names_epoch_step_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"epoch 1, step 1; lower optim\.learning_rate"):
        fit(_model(), TwoBatches(float("nan")), Scores(), CONFIG, _context(tmp_path))
    assert not list(tmp_path.rglob("epoch-*"))


def test_weights_that_are_not_finite_after_an_epochs_last_step_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: [p.data.fill_(float("inf")) for p in model.parameters()])
    model = _model()

    class OneBatch(TwoBatches):
        def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Crops]:
            yield next(super().epoch(epoch))

    with pytest.raises(TrainingDivergedError, match=r"weights are no longer finite after epoch 1, step 1; lower optim"):
        fit(model, OneBatch(), Scores(), CONFIG, _context(tmp_path))


def test_a_restored_photograph_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    def validate(model: GKMNet) -> Validation:
        raise FloatingPointError("scene/0: the restored photograph has values that are not finite")

    with pytest.raises(TrainingDivergedError, match=r"scene/0: .* not finite after epoch 2; lower optim"):
        fit(_model(), TwoBatches(), validate, CONFIG, _context(tmp_path))


def test_a_full_disk_is_an_error_with_its_number_and_earlier_epochs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stopped(tmp_path, 2)

    def full(*arguments: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("gkm.networks.state_dict.save_file", full)
        with pytest.raises(OSError, match="No space left") as caught:
            fit(_model(), TwoBatches(), Scores(1), CONFIG, _context(tmp_path))
    assert caught.value.errno == errno.ENOSPC
    history = fit(_model(), TwoBatches(), Scores(1), CONFIG, _context(tmp_path))
    assert [metrics["epoch"] for metrics in history] == [2, 4, 6]
