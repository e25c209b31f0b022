"""One trial in this process: where it takes its photographs from, what it says, what it returns."""

import logging
from pathlib import Path

import pytest

from gkm import trial
from gkm.config import DataConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.data.cache import NodeCache
from gkm.training.context import LocalContext
from gkm.trial import run_trial

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2),
    data=DataConfig(crop_pixels=32),
    training=TrainingConfig(epochs=2),
)


def _run(config: TrialConfig, data: Path, folder: Path, cache: NodeCache | str) -> trial.TrialResult:
    return run_trial(config, str(data), LocalContext(folder), cache=cache)


def test_streamed_photographs_train_the_same_network_and_leave_no_cache(tmp_path: Path, tiny_data: Path) -> None:
    cached = _run(CONFIG, tiny_data, tmp_path / "a", str(tmp_path / "cache"))
    streamed = _run(CONFIG, tiny_data, tmp_path / "b", NodeCache(tmp_path / "none", 0))
    for one, other in zip(cached.history, streamed.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert len(list((tmp_path / "cache").glob("*.planes"))) == 2
    assert not (tmp_path / "none").exists()
    assert cached.best == max(cached.history, key=lambda metrics: metrics["val/psnr"])


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
