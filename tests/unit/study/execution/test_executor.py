"""What the driver keeps of trials that have ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from ray.tune.trainable.metadata import _TrainingRunMetadata

from gkm.study.execution.executor import _Bridge, _Ticker


def test_statistics_of_ended_trials_are_forgotten() -> None:
    conductor: Any = None
    ticker = _Ticker(_Bridge(conductor, None, lambda: None))
    for end in (ticker.on_trial_complete, ticker.on_trial_error):
        metadata = cast(Any, _TrainingRunMetadata())  # type: ignore[no-untyped-call]
        for step in range(1, 20):
            for metric in ("val/psnr", "val/ssim", "train/loss"):
                metadata.update_metric(metric, 30.0, step=step)
        before = len(metadata.get_json_state())
        end(20, [], SimpleNamespace(trial_id="a", run_metadata=metadata))
        assert len(metadata.get_json_state()) < before / 2
