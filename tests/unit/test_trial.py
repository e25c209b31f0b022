"""One trial in this process: where it takes its photographs from, what it says, what it returns."""

import logging
from pathlib import Path
from typing import Any

import pytest

from gkm import trial
from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.data.reading.cache import NodeCache
from gkm.errors import InputError
from gkm.training.context import LocalContext
from gkm.training.course.leaving import Left
from gkm.training.epoch import PairedBatch, Trainer
from gkm.training.loop import TrainingDivergedError
from gkm.training.store import fetch_picture, list_pictures, open_store, read_validation
from gkm.trial import SELECTION_METRIC, run_trial

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
    data=DataConfig(crop_pixels=32),
    training=TrainingConfig(epochs=2),
)


def _run(config: TrialConfig, data: Path, folder: Path, cache: NodeCache | str) -> trial.TrialResult:
    return run_trial(config, str(data), LocalContext(open_store(str(folder))), cache=cache)


def _lasting(metrics: dict[str, float]) -> dict[str, float]:
    """What another run of the same repeats to the bit."""
    return {key: value for key, value in metrics.items() if not key.startswith(("seconds", "time", "system/"))}


def test_streamed_photographs_train_the_same_network_and_leave_no_cache(tmp_path: Path, tiny_data: Path) -> None:
    cached = _run(CONFIG, tiny_data, tmp_path / "a", str(tmp_path / "cache"))
    streamed = _run(CONFIG, tiny_data, tmp_path / "b", NodeCache(tmp_path / "none", 0))
    for one, other in zip(cached.history, streamed.history, strict=True):
        assert _lasting(one) == _lasting(other)
    assert len(list((tmp_path / "cache").glob("*.planes"))) == 2
    assert not (tmp_path / "none").exists()
    assert cached.best == max(cached.history, key=lambda metrics: metrics["val/psnr"])


def test_every_validated_epoch_has_these_metrics(tmp_path: Path, tiny_data: Path) -> None:
    result = _run(CONFIG, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    names = {"epoch", "train/loss", "learning_rate", "val/psnr", "val/ssim", "val/loss", "seconds", "time"}
    names |= {"best/epoch", "best/val/psnr", "seconds_per_megapixel", "system/memory_gigabytes", "system/cpu_percent"}
    for metrics in result.history:
        assert names <= set(metrics)
        assert metrics["seconds_per_megapixel"] > 0
    assert SELECTION_METRIC == "val/psnr"


def test_the_scores_of_the_best_epoch_are_kept_photograph_by_photograph(tmp_path: Path, tiny_data: Path) -> None:
    result = _run(CONFIG, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    assert result.best_epoch is not None
    scores = read_validation(str(tmp_path / "run"), result.best_epoch)
    assert [score.scene for score in scores] == ["validation-0", "validation-1"]
    assert sum(score.psnr for score in scores) / 2 == result.best["val/psnr"] == result.best["best/val/psnr"]
    assert sum(score.ssim for score in scores) / 2 == result.best["val/ssim"]


@pytest.mark.slow
def test_pictures_are_drawn_ten_times_a_trial_and_at_its_end(tmp_path: Path, tiny_data: Path) -> None:
    config = CONFIG.with_values({"training.epochs": 23})
    _run(config, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    assert list_pictures(str(tmp_path / "run")) == [1, 4, 7, 10, 13, 16, 19, 22, 23]
    assert fetch_picture(str(tmp_path / "run"), 1).startswith(b"\x89PNG")


def test_photographs_that_cannot_be_restored_end_a_trial_as_diverged(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_finite(*arguments: object, **more: object) -> None:
        raise FloatingPointError("scene/0: the restored photograph has values that are not finite")

    monkeypatch.setattr(trial, "evaluate", not_finite)
    with pytest.raises(TrainingDivergedError, match=r"after epoch 1; lower optim\.learning_rate"):
        _run(CONFIG, tiny_data, tmp_path / "run", str(tmp_path / "cache"))


def test_a_checkpoint_of_other_photographs_is_refused(tmp_path: Path, tiny_data: Path) -> None:
    from gkm.data.preparation.preparation import write_dataset
    from gkm.data.reading.cache import open_split

    train = list(open_split(tiny_data, "train", str(tmp_path / "cache")))
    write_dataset([("train", train[0]), ("validation", train[1])], tmp_path / "data", {"kind": "synthetic"})
    _run(CONFIG, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="was trained on the data set"):
        _run(CONFIG, tmp_path / "data", tmp_path / "run", str(tmp_path / "cache"))


@pytest.mark.parametrize("there", [True, False])
def test_arithmetic_that_the_machine_has_not_is_said_to_be_slow(
    tmp_path: Path,
    tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    there: bool,
) -> None:
    monkeypatch.setattr(trial, "has_bfloat16", lambda device: there)
    config = CONFIG.with_values({"training.precision": "bfloat16", "training.epochs": 1})
    with caplog.at_level(logging.WARNING):
        _run(config, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    assert ("float32 would be faster" in caplog.text) == (not there)


def test_crops_that_grow_go_on_at_the_same_batch_and_size(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.with_values({"data.crop_schedule": [16], "data.batch_size": 2})
    sides: list[int] = []
    step = Trainer._step

    def noting(self: Trainer, batch: PairedBatch, *rest: Any) -> Any:
        sides.append(batch.sharp_B3HW.shape[-1])
        return step(self, batch, *rest)

    monkeypatch.setattr(Trainer, "_step", noting)
    cache = str(tmp_path / "cache")
    undisturbed = _run(config, tiny_data, tmp_path / "whole", cache)
    assert sides == [16, 16, 32, 32]
    for _ in range(3):  # each takes one step more
        sides.clear()
        context = LocalContext(open_store(str(tmp_path / "parts")), leaving=lambda: bool(sides))
        with pytest.raises(Left):
            run_trial(config, str(tiny_data), context, cache=cache)
    history = _run(config, tiny_data, tmp_path / "parts", cache).history
    assert [_lasting(metrics) for metrics in history] == [_lasting(metrics) for metrics in undisturbed.history]
    with pytest.raises(InputError, match=r"data\.crop_schedule is \[16\] in the checkpoint, \[\] now"):
        _run(config.with_values({"data.crop_schedule": []}), tiny_data, tmp_path / "parts", cache)


def test_a_precision_that_the_device_has_not_is_refused_before_anything(tmp_path: Path, tiny_data: Path) -> None:
    config = CONFIG.with_values({"training.precision": "float16"})
    with pytest.raises(InputError, match=r"training\.precision = float16 needs a GPU"):
        _run(config, tiny_data, tmp_path / "run", str(tmp_path / "cache"))
    assert not list(tmp_path.iterdir())
