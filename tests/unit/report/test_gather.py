"""From a study's record and its registered model to test scores, in the tracking store and on a page."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet

from gkm.config import DataConfig, DPDNetConfig, ModelConfig, TrainingConfig, TrialConfig
from gkm.data.dataset.manifest import read_manifest
from gkm.data.reading.cache import open_split
from gkm.errors import InputError
from gkm.evaluation import evaluate, mean_scores
from gkm.networks import build
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import register
from gkm.report import artifacts, gather, report_study
from gkm.report.gather import choose_examples
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import save_weights

CONFIG = TrialConfig(
    model=ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2, gcm="learned_random"),
    data=DataConfig(crop_pixels=32),
    training=TrainingConfig(epochs=2, seed=3),
)


def _study(tracking: Tracking, data: Path, name: str = "tiny", fingerprint: str | None = None) -> StudyResults:
    """A study of one trial, which has a run in the tracking store."""
    parent = tracking.start_study(name, parameters={}, tags={})
    trial = tracking.start_trial(
        f"{name}-0", study_run_id=parent.run_id, number=0, config=CONFIG, searched={"model.width": 2}, tags={}
    )
    history = tuple(
        {
            "epoch": float(epoch),
            "train/loss": 0.1 / epoch,
            "val/psnr": 20.0 + epoch,
            "best/val/psnr": 20.0 + epoch,
            "val/ssim": 0.7,
            "seconds": 1.5 * epoch,
        }
        for epoch in (1, 2)
    )
    row = TrialRow(0, "finished", CONFIG, {"model.width": 2}, history, seed=3, run_id=trial.run_id)
    return StudyResults(
        name,
        (row,),
        record_id="5f3c0a",
        record=f"/runs/records/{name}.journal",
        run_id=parent.run_id,
        data_fingerprint=fingerprint or read_manifest(data).fingerprint,
        tags={"gkm.git_commit": "1934ca7", "gkm.search_seed": "11", "gkm.version.torch": "2.13.0"},
        photographs=("a/1", "b/1"),
        blurred=(21.0, 22.0),
    )


def _register(tracking: Tracking, study: StudyResults, folder: Path) -> int:
    """Register made-up weights of the study's trial; returns the version."""
    assert study.best is not None
    assert study.best.run_id is not None
    torch.manual_seed(CONFIG.training.seed)
    model = GKMNet(CONFIG.model)
    with torch.no_grad():
        model.gcm.kernels += 0.01  # type: ignore[union-attr, operator]
    return register(tracking, study.best.run_id, save_weights(model, folder / "weights"))


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    workspace = tmp_path_factory.mktemp("runs")
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


@pytest.mark.slow
def test_the_registered_model_is_scored_on_the_test_photographs(
    tracking: Tracking, tiny_data: Path, tmp_path: Path
) -> None:
    study = _study(tracking, tiny_data)
    version = _register(tracking, study, tmp_path)
    out = tmp_path / "report.html"
    summary = report_study(tracking, study, str(tiny_data), out, cache=str(tmp_path / "cache"))
    assert summary.page == out
    assert summary.photographs == 2
    assert summary.gain == pytest.approx(summary.restored_psnr - summary.blurred["psnr"])
    logged = tracking.client.get_run(study.run_id).data.metrics
    assert logged["test/psnr"] == pytest.approx(summary.restored_psnr)
    assert logged["test/blurred_lpips"] == pytest.approx(summary.blurred["lpips"])
    told = "Study **tiny**.\n\n**Verdict.** Setting 0 is the only one"
    assert tracking.tags(study.run_id)["mlflow.note.content"].startswith(told)
    assert summary.sentence in tracking.tags(study.run_id)["mlflow.note.content"]
    artifacts.describe(tracking, study, ["Another one."])
    assert tracking.tags(study.run_id)["mlflow.note.content"] == "Study **tiny**.\n\n**Verdict.** Another one."
    text = out.read_text(encoding="utf-8")
    for stated in (f"gkmnet version {version}", study.data_fingerprint, "1934ca7", CONFIG.fingerprint(), "4 / 2 / 2"):
        assert stated in text
    provenance = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", text))
    assert provenance["Record"] == "/runs/records/tiny.journal"
    assert provenance["Record id"] == "5f3c0a"
    assert (provenance["Search seed"], provenance["Training seeds"]) == ("11", "3")
    assert provenance["torch"] == "2.13.0"
    assert "learned them from random kernels" in text
    assert "blurred input, 21.50" in text


@pytest.mark.slow
def test_a_model_of_views_is_scored_on_them_and_compared_with_the_photograph(
    tracking: Tracking, tiny_data: Path, tiny_views: Path, tmp_path: Path
) -> None:
    study = _study(tracking, tiny_views, "views")
    assert study.best is not None
    assert study.best.run_id is not None
    weights = save_weights(build(DPDNetConfig(width=2, depth=2, views="dual")), tmp_path / "weights")
    version = register(tracking, study.best.run_id, weights)
    out = tmp_path / "report.html"
    summary = report_study(tracking, study, str(tiny_views), out, cache=str(tmp_path / "cache"))
    text = out.read_text(encoding="utf-8")
    assert f"gkmnet version {version}" in text
    assert "The network saw their left and right views; shown, and scored as blurred, are the photographs." in text
    plain = evaluate(None, open_split(tiny_data, "test", tmp_path / "cache"), with_lpips=False)
    assert summary.blurred["psnr"] == pytest.approx(mean_scores(plain)["psnr"])


def test_page_table_and_insight_are_artifacts_of_the_study(tracking: Tracking, tiny_data: Path, tmp_path: Path) -> None:
    study = _study(tracking, tiny_data, "kept")
    _register(tracking, study, tmp_path)
    for _ in range(2):  # the second replaces the first
        page = report_study(tracking, study, str(tiny_data), tmp_path / "kept.html").page
    assert study.run_id is not None
    kept = tracking.download(study.run_id, "report", tmp_path / "kept")
    names = ["insight.json", "kept.csv", "kept.html", "kept.md", "kept.tex", "trials.parquet"]
    assert sorted(path.name for path in kept.iterdir()) == names
    assert (kept / "kept.html").read_bytes() == page.read_bytes()
    table = parquet.read_table(kept / "trials.parquet").to_pydict()
    assert list(zip(table["epoch"], table["val/psnr"], strict=True)) == [(1, 21.0), (2, 22.0)]
    insight = json.loads((kept / "insight.json").read_text())
    assert insight["importances"] is None
    assert "at least" in insight["importances_reason"]


def test_kernels_before_training_are_those_the_seed_gave(tracking: Tracking, tiny_data: Path, tmp_path: Path) -> None:
    from gkm.registry import load
    from gkm.report.gather import _kernels

    study = _study(tracking, tiny_data, "kernels")
    version = _register(tracking, study, tmp_path)
    assert study.best is not None
    kernels = _kernels(load(tracking, version).model, study.best)
    assert kernels is not None
    assert kernels.learned_KMM is not None
    np.testing.assert_allclose(kernels.learned_KMM - kernels.start_KMM, 0.01, atol=1e-6)


def test_another_data_set_is_refused(tracking: Tracking, tiny_data: Path, tmp_path: Path) -> None:
    study = _study(tracking, tiny_data, "elsewhere", fingerprint="0123456789ab")
    with pytest.raises(InputError, match=r"study elsewhere was made with 0123456789ab.*--data"):
        report_study(tracking, study, str(tiny_data), tmp_path / "report.html", cache=str(tmp_path / "cache"))
    assert not (tmp_path / "report.html").exists()


def test_a_trial_without_a_run_is_not_registered(tracking: Tracking, tiny_data: Path, tmp_path: Path) -> None:
    study = _study(tracking, tiny_data, "offline")
    study = dataclasses.replace(study, run_id="", trials=(dataclasses.replace(study.trials[0], run_id=None),))
    with pytest.raises(InputError, match="trial 0 is not registered"):
        report_study(tracking, study, str(tiny_data), tmp_path / "report.html", cache=str(tmp_path / "cache"))


def test_a_study_that_registered_nothing_is_refused(tracking: Tracking, tiny_data: Path, tmp_path: Path) -> None:
    study = _study(tracking, tiny_data, "unregistered")
    with pytest.raises(InputError, match="trial 0 is not registered"):
        report_study(tracking, study, str(tiny_data), tmp_path / "report.html", cache=str(tmp_path / "cache"))


@pytest.mark.slow
def test_pictures_are_the_same_whether_kept_or_restored_again(
    tracking: Tracking, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(tracking, tiny_data, "pictures")
    _register(tracking, study, tmp_path)
    pages = []
    for most in (6, 1):
        monkeypatch.setattr(gather, "MOST_EXAMPLES", most)
        out = tmp_path / f"{most}.html"
        report_study(tracking, study, str(tiny_data), out, cache=str(tmp_path / "cache"))
        pages.append(set(re.findall(r'src="(data:image/[^"]+)"', out.read_text(encoding="utf-8"))))
    assert pages[0] == pages[1]
    assert len(pages[0]) >= 8


def test_all_of_few_photographs_are_shown_and_of_many_the_best_the_middle_and_the_worst() -> None:
    assert choose_examples([0.1, 0.5, -0.2]) == [0, 1, 2]
    assert choose_examples([0.1, 0.5, -0.2, 0.3, 0.2, 0.0, 0.4]) == [1, 4, 2]
