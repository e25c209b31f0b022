"""Registration, and who takes the alias `challenger`."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gkm.config import TrialConfig
from gkm.errors import InputError
from gkm.registry import Registered, events, find_registered, load, register, register_best
from gkm.registry.card import summary_of
from gkm.registry.versions import aliases, find, versions
from gkm.study.design.objective import Objective
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import DataInput, Tracking
from gkm.training.best import PhotographScore, save_best
from gkm.training.checkpoint import load_weights

Register = Callable[[float], int]
Add = Callable[..., int]
End = Callable[..., Registered]


@pytest.fixture
def end_study(tracking: Tracking, trained: Path) -> End:
    """Registers the winner of a study that ended with this score on the validation photographs of this data."""
    count = iter(range(1000))

    def end(
        score: float, fingerprint: str = "d1", metric: str = "val/psnr", mode: Any = "max", data: Any = None
    ) -> Registered:
        number = next(count)
        run = tracking.start_trial(
            f"s{number}", study_run_id=None, number=0, config=TrialConfig(), searched={}, tags={"gkm.data": fingerprint}
        )
        for path in trained.iterdir():
            tracking.log_file(run.run_id, path, "weights")
        history = ({"epoch": 1.0, metric: score},)
        row = TrialRow(0, "finished", TrialConfig(), history=history, run_id=run.run_id, metric=metric, mode=mode)
        unit = "dB" if metric == "val/psnr" else ""
        objectives = (Objective(metric, mode, unit),)
        results = StudyResults(f"s{number}", (row,), objectives=objectives, data_fingerprint=fingerprint)
        found = register_best(tracking, results, data)
        assert register_best(tracking, results, data) == found == find_registered(tracking, run.run_id)
        return found

    return end


def test_the_first_winner_takes_the_alias_and_a_better_one_takes_it_from_it(tracking: Tracking, end_study: End) -> None:
    assert end_study(31.0).sentence == "gkmnet version 1, alias challenger"
    assert end_study(31.25).sentence == (
        "gkmnet version 2, alias challenger: 31.25 dB on the same validation photographs, better than version 1 with "
        "31.00 dB"
    )
    assert aliases(tracking) == {"challenger": 2}


@pytest.mark.slow
@pytest.mark.parametrize("score", [31.0, 30.5])
def test_a_winner_that_is_no_better_is_registered_without_the_alias(
    tracking: Tracking, end_study: End, score: float
) -> None:
    end_study(31.0)
    assert end_study(score).sentence == (
        f"gkmnet version 2, without the alias challenger: {score:.2f} dB on the same validation photographs, "
        "not better than version 1 with 31.00 dB, which keeps it"
    )
    assert aliases(tracking) == {"challenger": 1}
    assert [(event["event"], event["version"]) for event in events(tracking)] == [("challenger", 1), ("registered", 2)]
    assert load(tracking, 2).version == 2


@pytest.mark.slow
def test_less_is_better_where_the_study_says_so(tracking: Tracking, end_study: End) -> None:
    end_study(0.02, metric="val/loss", mode="min")
    assert end_study(0.01, metric="val/loss", mode="min").is_challenger
    assert not end_study(0.015, metric="val/loss", mode="min").is_challenger


@pytest.mark.slow
def test_on_other_data_the_newer_takes_it_and_it_is_said(tracking: Tracking, end_study: End) -> None:
    end_study(31.0)
    found = end_study(25.0, fingerprint="d2")
    assert found.is_challenger
    assert found.reason == "version 1, which had it, was chosen on other data (d1, not d2)"


@pytest.mark.slow
def test_a_champion_has_no_claim_any_more(tracking: Tracking, end_study: End) -> None:
    end_study(31.0)
    tracking.client.set_registered_model_alias("gkmnet", "champion", "1")
    found = end_study(30.0)
    assert (found.is_challenger, found.reason) == (True, "version 1, which had it, is the champion")


@pytest.mark.slow
def test_without_a_recorded_figure_both_are_measured(
    tracking: Tracking, end_study: End, register_as_good_as: Register, tiny_data: Path
) -> None:
    register_as_good_as(-1.0)  # its data is "abc", and no figure came with it
    found = end_study(20.0, fingerprint="abc", data=str(tiny_data))
    assert found.is_challenger
    assert found.reason.endswith(" dB")
    assert "on the same validation photographs, better than version 1" in found.reason
    other = end_study(99.0, fingerprint="abc", metric="val/ssim", data=str(tiny_data))
    assert not other.is_challenger  # the same weights: measured, since there is no recorded val/ssim
    assert "not better than version 2" in other.reason


@pytest.mark.slow
def test_what_cannot_be_measured_is_said(tracking: Tracking, end_study: End, add_version: Add, tmp_path: Path) -> None:
    add_version(data="d1")
    tracking.client.set_registered_model_alias("gkmnet", "challenger", "1")
    found = end_study(20.0)
    assert (found.is_challenger, found.reason) == (
        True,
        "version 1, which had it, has no recorded val/psnr to compare with",
    )
    tracking.client.set_registered_model_alias("gkmnet", "challenger", "1")
    assert "which had it, cannot be measured" in end_study(20.0, data=str(tmp_path / "gone")).reason


@pytest.mark.slow
def test_each_registration_is_the_challenger_and_old_ones_stay_loadable(
    tracking: Tracking, register_as_good_as: Register, trained: Path
) -> None:
    assert [register_as_good_as(share) for share in (1.0, 0.5)] == [1, 2]
    assert aliases(tracking) == {"challenger": 2}
    newest, oldest = load(tracking), load(tracking, 1)
    assert (newest.version, newest.name) == (2, "gkmnet version 2 (challenger)")
    assert (oldest.version, oldest.name) == (1, "gkmnet version 1")
    for name, weights in load_weights(trained).state_dict().items():
        torch.testing.assert_close(oldest.model.state_dict()[name], weights)
    assert any(not torch.equal(a, b) for a, b in zip(oldest.model.parameters(), newest.model.parameters(), strict=True))
    assert not newest.model.training
    assert find(tracking, "2").tags["gkm.data"] == "abc"


def test_the_same_weights_of_a_run_are_one_version(tracking: Tracking, trained: Path) -> None:
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    assert [register(tracking, run.run_id, trained) for _ in range(2)] == [1, 1]
    assert len(versions(tracking)) == 1


@pytest.mark.parametrize("operation", ["log_param", "set_registered_model_alias", "set_registered_model_tag"])
def test_a_registration_cut_short_is_completed(
    tracking: Tracking, trained: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    call = Tracking.call

    def die(self: Tracking, name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == operation:
            raise KeyboardInterrupt
        return call(self, name, *arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(Tracking, "call", die)
        with pytest.raises(KeyboardInterrupt):
            register(tracking, run.run_id, trained)
    assert register(tracking, run.run_id, trained) == 1
    assert aliases(tracking) == {"challenger": 1}
    assert [event["event"] for event in events(tracking)] == ["challenger"]


def test_the_best_trial_of_a_study_is_registered_once(tracking: Tracking, trained: Path, tmp_path: Path) -> None:
    rows = []
    for number, psnr in enumerate((20.0, 21.5, 21.0)):
        run = tracking.start_trial(
            f"t{number}", study_run_id=None, number=number, config=TrialConfig(), searched={}, tags={}
        )
        history = ({"epoch": 1.0, "val/psnr": psnr},)
        rows.append(TrialRow(number, "finished", TrialConfig(), history=history, group=number, run_id=run.run_id))
    results = StudyResults("s", tuple(rows))
    with pytest.raises(InputError, match="keeps no weights"):
        register_best(tracking, results)
    assert versions(tracking) == []
    best = rows[1].run_id
    assert best is not None
    for path in trained.iterdir():
        tracking.log_file(best, path, "weights")
    assert [register_best(tracking, results).version for _ in range(2)] == [1, 1]
    version = find(tracking, "challenger")
    assert version.run_id == best
    assert summary_of(version.description) == "Best of 3 trials of the study s: 21.50 dB in validation."
    assert (version.tags["gkm.study"], version.tags["gkm.val/psnr"]) == ("s", "21.5000")


@pytest.fixture
def validated(tracking: Tracking, trained: Path, tmp_path: Path) -> tuple[str, Path]:
    """A trial of a study that was validated on two photographs, twice: its run, and its weights."""
    study = tracking.start_study("s", parameters={}, tags={})
    tracking.log_metrics(study.run_id, {"val/blurred_psnr": 21.5, "val/blurred_ssim": 0.5})
    run = tracking.start_trial(
        "t", study_run_id=study.run_id, number=0, config=TrialConfig(), searched={}, tags={"gkm.data": "d1"}
    )
    inputs = [
        DataInput(f"sample {split}", "d1", "/d", use) for split, use in (("train", "training"), ("validation",) * 2)
    ]
    tracking.log_inputs(run.run_id, inputs)
    for epoch, psnr in ((1, 24.0), (2, 23.0)):
        run.log_epoch(epoch, {"val/psnr": psnr, "val/ssim": 0.75, "best/epoch": 1.0, "train/loss": 0.5})
    scores = [PhotographScore("s", "a", 23.0, 0.7), PhotographScore("s", "b", 25.0, 0.8)]
    best = save_best(load_weights(trained), scores, tmp_path / "best")
    tracking.log_file(run.run_id, best / "validation.parquet")
    return run.run_id, best


def test_a_version_is_described_by_its_model_card(tracking: Tracking, validated: tuple[str, Path]) -> None:
    run_id, weights = validated
    tags = {"gkm.licence": "MIT", "gkm.source": "https://ann:hunter2@example.org/w.pth"}
    register(tracking, run_id, weights, tags=tags, summary="The best of one.")
    version = find(tracking, "1")
    card = version.description
    assert card.startswith(f"# gkmnet, weights {version.tags['gkm.weights'][:12]}\n\nThe best of one.\n\ngkmnet (")
    assert "max_kernel_size 5" in card
    assert "Means over 2 validation photographs, with intervals of 95 %." in card
    assert "| PSNR (dB) | 24.00 | 11.29 to 36.71 | 21.50 |" in card  # Student's, of two photographs
    assert "| SSIM | 0.7500 | 0.1147 to 1.3853 | 0.5000 |" in card
    assert "Trained and validated on the data set sample with the fingerprint d1." in card
    assert "## Licence\n\nMIT" in card
    assert "## Source\n\nhttps://***@example.org/w.pth" in card
    assert "hunter2" not in card + str(version.tags)


@pytest.mark.slow
def test_a_version_is_a_logged_model_linked_to_its_scores_and_their_data(
    tracking: Tracking, validated: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, weights = validated
    call = Tracking.call

    def die(self: Tracking, name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "finalize_logged_model":
            raise KeyboardInterrupt
        return call(self, name, *arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(Tracking, "call", die)
        with pytest.raises(KeyboardInterrupt):
            register(tracking, run_id, weights)
    assert register(tracking, run_id, weights) == 1
    (model,) = tracking.client.search_logged_models([tracking.experiment_id], f"source_run_id = '{run_id}'")
    version = find(tracking, "1")
    assert (str(model.status), model.name) == ("READY", "gkmnet")
    assert (version.source, version.tags["gkm.logged_model"]) == (model.artifact_location, model.model_id)
    assert model.params["model.width"] == "2"
    linked = {(m.key, m.value, m.step, m.dataset_name, m.dataset_digest) for m in model.metrics}
    assert linked == {
        ("val/psnr", 24.0, 1, "sample validation", "d1"),
        ("val/ssim", 0.75, 1, "sample validation", "d1"),
    }
    assert len(tracking.client.get_metric_history(run_id, "val/psnr")) == 2  # as many as before
    assert {output.model_id for output in tracking.client.get_run(run_id).outputs.model_outputs} == {model.model_id}


def test_damaged_weights_are_not_registered(tracking: Tracking, trained: Path, tmp_path: Path) -> None:
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    damaged = shutil.copytree(trained, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        register(tracking, run.run_id, damaged)
    assert versions(tracking) == []


def test_nothing_registered_is_a_pickle(register_as_good_as: Register, tmp_path: Path) -> None:
    register_as_good_as(1.0)
    (model,) = (tmp_path / "runs" / "artifacts" / "models").glob("*/artifacts")
    files = [path for path in model.rglob("*") if path.is_file()]
    assert {path.suffix for path in (model / "data").rglob("*") if path.is_file()} == {".safetensors", ".json", ""}
    assert not {path.suffix for path in files} & {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".pyc"}
    assert not any(path.read_bytes()[:1] == b"\x80" for path in files)
    assert "torch==" in (model / "requirements.txt").read_text()
    assert "+" not in (model / "requirements.txt").read_text()
