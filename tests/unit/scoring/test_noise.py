"""The noise form: one model, one data set, several levels; reports read what it leaves at the run."""

import json
from pathlib import Path

import pytest

from gkm.config import DPDNetConfig
from gkm.errors import InputError
from gkm.networks import build
from gkm.scoring.noise import study_noise
from gkm.tracking import Tracking
from gkm.training.checkpoint import save_weights


def test_levels_are_scored_and_left_at_the_run_for_reports(
    trained_run: tuple[Tracking, str], tiny_data: Path, tmp_path: Path
) -> None:
    tracking, run_id = trained_run
    study = study_noise(tracking, str(tiny_data), str(tmp_path / "kept"), selector="1", sigmas_8bit=[0.0, 5.0])
    assert [level.sigma_8bit for level in study.levels] == [0.0, 5.0]
    assert study.levels[1].blurred["psnr"] < study.levels[0].blurred["psnr"]
    assert study.artifact is not None
    kept = json.loads(tracking.download(run_id, study.artifact, tmp_path / "down").read_text())
    assert (kept["version"], [level["sigma_8bit"] for level in kept["levels"]]) == (1, [0, 5])
    scores = [score["psnr"] for score in kept["levels"][1]["restored"]]
    assert sum(scores) / 2 == pytest.approx(study.levels[1].restored["psnr"])


def test_a_model_of_views_sees_them_noisy_and_needs_them(
    trained_run: tuple[Tracking, str], tiny_data: Path, tiny_views: Path, tmp_path: Path
) -> None:
    tracking, _ = trained_run
    weights = str(save_weights(build(DPDNetConfig(width=2, depth=2, views="dual")), tmp_path / "weights"))
    study = study_noise(tracking, str(tiny_views), str(tmp_path / "kept"), selector=weights, sigmas_8bit=[3.0])
    assert study.levels[0].restored["psnr"] < study.levels[0].blurred["psnr"]
    assert study.artifact is None
    with pytest.raises(InputError, match=r"has no dual-pixel views of test-0/0, .* again with --views"):
        study_noise(tracking, str(tiny_data), str(tmp_path / "kept"), selector=weights)
