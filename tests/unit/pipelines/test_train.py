"""What `gkm train` says of a training that has ended."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.train import _compare


@pytest.mark.parametrize(
    ("reached", "sentence"),
    [
        (29.5, "a gain of -0.50 dB\nthese weights make photographs worse than they were: train longer"),
        (30.0, "a gain of +0.00 dB\nthese weights leave photographs as they were: train longer"),
        (30.5, "a gain of +0.50 dB\n"),
    ],
)
def test_a_training_that_gains_nothing_is_told_from_one_that_loses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reached: float, sentence: str
) -> None:
    record: Any = SimpleNamespace(history=[{"epoch": 1.0, "val/psnr": reached}])
    launch: Any = SimpleNamespace(blurred={"psnr": 30.0}, place=str(tmp_path))
    _compare(record, launch)
    text = capsys.readouterr().out
    assert sentence in text
    assert ("these weights" in text) == (reached <= 30)
