"""Versions, aliases and the gate, in a real registry with real scores."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import DPDNetConfig, ModelConfig, TrialConfig
from gkm.data.reading.cache import open_split
from gkm.errors import InputError
from gkm.evaluation import to_tensor
from gkm.networks import build
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.registry import load, promote, register, register_best, rollback
from gkm.registry.promotion import events
from gkm.registry.versions import aliases, find, versions
from gkm.study.record.results import StudyResults, TrialRow
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import load_weights, save_weights

CONFIG = ModelConfig(max_kernel_size=5, num_kernels=3, num_scales=1, width=2)
Register = Callable[[float], int]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that return a photograph nearly as it is."""
    torch.manual_seed(0)
    return save_weights(GKMNet(CONFIG), tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def trained(untrained: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that restore a little of what the tiny data set lost."""
    model = load_weights(untrained).train()
    pairs = open_split(tiny_data, "train", tmp_path_factory.mktemp("cache"))
    blurred = torch.cat([to_tensor(pair.blurred_HW3) for pair in pairs])
    sharp = torch.cat([to_tensor(pair.sharp_HW3) for pair in pairs])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        loss = (model(blurred)[-1] - sharp).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return save_weights(model, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, to copy: making them takes a second."""
    folder = tmp_path_factory.mktemp("empty")
    open_tracking(folder, f"sqlite:///{folder}/mlflow.db").client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path) -> Tracking:
    workspace = tmp_path / "runs"
    workspace.mkdir()
    shutil.copyfile(empty_store, workspace / "mlflow.db")
    return open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")


@pytest.fixture
def register_as_good_as(tracking: Tracking, untrained: Path, trained: Path, tmp_path: Path) -> Register:
    """Registers a network with a share of the training: 1 has all of it, -1 was led as far the wrong way."""
    start = dict(load_weights(untrained).named_parameters())
    count = iter(range(1000))

    def register_one(share: float) -> int:
        model = load_weights(trained)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.lerp_(start[name], 1 - share)
        trial = tracking.start_trial(
            f"t{next(count)}",
            study_run_id=None,
            number=None,
            config=TrialConfig(),
            searched={},
            tags={"gkm.data": "abc"},
        )
        return register(tracking, trial.run_id, save_weights(model, tmp_path / trial.run_id))

    return register_one


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


def test_a_registration_cut_short_before_its_alias_is_completed(tracking: Tracking, trained: Path) -> None:
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    register(tracking, run.run_id, trained)
    tracking.client.delete_registered_model_alias("gkmnet", "challenger")
    tracking.client.delete_model_version_tag("gkmnet", "1", "gkm.announced")
    assert register(tracking, run.run_id, trained) == 1
    assert aliases(tracking) == {"challenger": 1}


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
    assert [register_best(tracking, results) for _ in range(2)] == [1, 1]
    version = find(tracking, "challenger")
    assert version.run_id == best
    assert version.description == "Best of 3 trials of the study s: 21.50 dB in validation."
    assert (version.tags["gkm.study"], version.tags["gkm.val/psnr"]) == ("s", "21.5000")


def test_selectors(tracking: Tracking, register_as_good_as: Register, trained: Path) -> None:
    register_as_good_as(1.0)
    for selector in (None, 1, "1", "challenger", "models:/gkmnet@challenger", "models:/gkmnet/1"):
        assert load(tracking, selector).version == 1
    from_folder = load(tracking, str(trained))
    assert (from_folder.version, from_folder.name) == (None, str(trained))
    with pytest.raises(InputError, match=r"champion: is no version or alias of gkmnet.*there are challenger, 1"):
        load(tracking, "champion")
    with pytest.raises(InputError, match="7: is no version"):
        load(tracking, "7")


def test_an_empty_registry_and_a_missing_store_are_said_and_not_made(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model is registered there"):
        load(tracking)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(InputError, match="there is no tracking database"):
        load(open_tracking(elsewhere, f"sqlite:///{elsewhere}/mlflow.db"))
    assert not elsewhere.exists()


def test_damaged_weights_are_not_registered(tracking: Tracking, trained: Path, tmp_path: Path) -> None:
    run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    damaged = shutil.copytree(trained, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        register(tracking, run.run_id, damaged)
    assert versions(tracking) == []


def test_lost_weights_are_named(tracking: Tracking, register_as_good_as: Register, tmp_path: Path) -> None:
    register_as_good_as(1.0)
    shutil.rmtree(tmp_path / "runs" / "artifacts")
    with pytest.raises(InputError, match=r"gkmnet version 1.*weights cannot be fetched from"):
        load(tracking)


def test_weights_changed_after_registration_are_refused(
    tracking: Tracking, register_as_good_as: Register, tmp_path: Path
) -> None:
    register_as_good_as(1.0)
    weights = next((tmp_path / "runs" / "artifacts").rglob("data/weights/model.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"gkmnet version 1 .*weights are not those that were registered"):
        load(tracking)


def test_nothing_registered_is_a_pickle(register_as_good_as: Register, tmp_path: Path) -> None:
    register_as_good_as(1.0)
    (model,) = (tmp_path / "runs" / "artifacts").glob("*/artifacts/model-*")
    files = [path for path in model.rglob("*") if path.is_file()]
    assert {path.suffix for path in (model / "data").rglob("*") if path.is_file()} == {".safetensors", ".json"}
    assert not {path.suffix for path in files} & {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".pyc"}
    assert not any(path.read_bytes()[:1] == b"\x80" for path in files)
    assert "torch==" in (model / "requirements.txt").read_text()
    assert "+" not in (model / "requirements.txt").read_text()


def test_the_first_champion_must_beat_the_blurred_input(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    register_as_good_as(-1.0)
    refused = promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"))
    assert not refused.promoted
    assert "not more than the blurred input" in refused.reason
    assert aliases(tracking) == {"challenger": 1}

    register_as_good_as(1.0)
    promoted = promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"))
    assert promoted.promoted
    assert promoted.scores["psnr"] > promoted.opponent_scores["psnr"] + 0.05
    assert promoted.photographs == 2
    assert aliases(tracking) == {"challenger": 2, "champion": 2}
    assert load(tracking).name == "gkmnet version 2 (challenger, champion)"
    with pytest.raises(InputError, match="gkmnet version 2: is the champion already"):
        promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"))


def test_a_challenger_that_gives_no_picture_is_refused(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    register_as_good_as(float("nan"))
    with pytest.raises(InputError, match=r"gkmnet version 1: test-0/0: .* not finite"):
        promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"))


def test_a_worse_challenger_is_refused_and_a_dry_run_records_nothing(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    data, cache = str(tiny_data), str(tmp_path / "cache")
    register_as_good_as(1.0)
    assert promote(tracking, data, cache=cache, dry_run=True).promoted
    assert aliases(tracking) == {"challenger": 1}
    assert events(tracking) == []
    promote(tracking, data, cache=cache)
    register_as_good_as(0.5)
    seen: list[str] = []
    refused = promote(tracking, data, cache=cache, watch=lambda label, pairs: seen.append(label) or pairs)
    assert seen == ["version 2", "version 1"]
    assert not refused.promoted
    assert aliases(tracking) == {"challenger": 2, "champion": 1}
    assert [(event["event"], event["version"]) for event in events(tracking)] == [("promoted", 1), ("refused", 2)]
    assert events(tracking)[1]["opponent_scores"]["psnr"] == pytest.approx(refused.opponent_scores["psnr"])
    assert find(tracking, "2").tags["gkm.last_event"].startswith("refused: version 2 has")


def test_rollback_walks_back_through_the_champions(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    data, cache = str(tiny_data), str(tmp_path / "cache")
    for share in (0.4, 0.7, 1.0):
        register_as_good_as(share)
        assert promote(tracking, data, cache=cache).promoted
    assert aliases(tracking) == {"challenger": 3, "champion": 3, "previous": 2}

    assert (rollback(tracking, "halos").champion, aliases(tracking)) == (
        2, {"challenger": 3, "champion": 2, "previous": 1},
    )  # fmt: skip
    with pytest.raises(InputError, match=r"gkmnet version 3: was rolled back on .*--again"):
        promote(tracking, data, cache=cache)
    assert rollback(tracking).withdrawn == 2
    assert aliases(tracking) == {"challenger": 3, "champion": 1}
    with pytest.raises(InputError, match="no champion before version 1"):
        rollback(tracking)
    last = events(tracking)[-2]
    assert (last["event"], last["version"], last["champion"], last["reason"]) == ("rolled back", 3, 2, "halos")

    assert promote(tracking, data, cache=cache, again=True).promoted
    assert aliases(tracking) == {"challenger": 3, "champion": 3, "previous": 1}
    assert json.dumps(events(tracking))


def test_promotion_needs_a_challenger_and_test_photographs(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no model is registered"):
        promote(tracking, str(tiny_data))
    with pytest.raises(InputError, match="there is no champion"):
        rollback(tracking)
    register_as_good_as(1.0)
    with pytest.raises(InputError, match=str(tmp_path / "nothing")):
        promote(tracking, str(tmp_path / "nothing"))
    tracking.client.delete_registered_model_alias("gkmnet", "challenger")
    with pytest.raises(InputError, match="challenger: is no version or alias"):
        promote(tracking, str(tiny_data))


def test_the_served_model_takes_and_returns_photographs(register_as_good_as: Register, tracking: Tracking) -> None:
    version = register_as_good_as(1.0)
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import load_model

    uri = tracking.client.get_model_version_download_uri("gkmnet", str(version))
    model = load_model(uri)
    photo = np.random.default_rng(0).integers(0, 256, (31, 45, 3), dtype=np.uint8)
    restored = model.predict(photo)
    assert (restored.shape, restored.dtype) == (photo.shape, np.uint8)
    for wrong in (photo[..., :1], photo.astype(np.float64) / 255):
        with pytest.raises(MlflowException):
            model.predict(wrong)


def test_a_challenger_of_views_is_measured_on_them_and_a_champion_of_photographs_on_photographs(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tiny_views: Path, tmp_path: Path
) -> None:
    register_as_good_as(1)
    assert promote(tracking, str(tiny_views), cache=str(tmp_path / "cache")).promoted
    run = tracking.start_trial("views", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
    weights = save_weights(build(DPDNetConfig(width=2, depth=2, views="dual")), tmp_path / "weights")
    assert register(tracking, run.run_id, weights) == 2
    found = promote(tracking, str(tiny_views), cache=str(tmp_path / "cache"), dry_run=True)
    assert (found.opponent, found.photographs) == ("version 1 (champion)", 2)
    assert found.scores["psnr"] < found.opponent_scores["psnr"]
    with pytest.raises(InputError, match=r"has no dual-pixel views of test-0/0, .* again with --views"):
        promote(tracking, str(tiny_data))
