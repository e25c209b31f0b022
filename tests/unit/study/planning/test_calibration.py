"""What is measured before a study, and what a plan says where the processes that measure do not live to answer."""

import os
import signal
import time
from pathlib import Path

import pytest

from gkm.config import DataConfig, DPDNetConfig, TrainingConfig, TrialConfig
from gkm.errors import InputError
from gkm.study.planning import calibration


def _be_killed(configs: object, photo: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _be_slow(configs: object, photo: object) -> None:
    time.sleep(2)


@pytest.mark.slow
def test_a_killed_process_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_measure", _be_killed)
    with pytest.raises(InputError, match=r"measured this machine's speed was killed; .*--device"):
        calibration.calibrate([TrialConfig()])


@pytest.mark.slow
def test_a_process_that_takes_too_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_measure", _be_slow)
    monkeypatch.setattr(calibration, "LONGEST_SECONDS", 0.1)
    with pytest.raises(InputError, match=r"took longer than 0\.1 s"):
        calibration.calibrate([TrialConfig()])


def test_a_network_that_sees_views_is_measured_on_as_many(tmp_path: Path) -> None:
    config = TrialConfig(
        model=DPDNetConfig(width=2, depth=2, views="dual"),
        data=DataConfig(crop_pixels=32, batch_size=2),
        training=TrainingConfig(epochs=3),
    )
    sample = calibration._sample(config, 1000.0, (64, 80), tmp_path)
    assert min(sample.step, sample.restoring, sample.scoring) > 0
