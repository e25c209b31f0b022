"""Versions in a real registry: found, loaded whole or not at all, and served."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gkm.config import SRNConfig, TrialConfig
from gkm.errors import InputError
from gkm.networks import build
from gkm.registry import events, load, promote, register
from gkm.registry.versions import NETWORK_TAG, aliases
from gkm.scoring.noise import study_noise
from gkm.tracking import Tracking, open_tracking
from gkm.training.checkpoint import save_weights

Register = Callable[[float], int]


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


def test_a_place_of_weights_that_cannot_be_looked_at_is_said(tracking: Tracking) -> None:
    with pytest.raises(InputError, match=r"long: cannot be read \(file name too long\); check the path"):
        load(tracking, "long" * 99)


def test_the_kind_of_a_network_is_a_selector(
    tracking: Tracking, register_as_good_as: Register, untrained: Path, tmp_path: Path
) -> None:
    register_as_good_as(1.0)
    for seed in range(2):
        torch.manual_seed(seed)
        weights = save_weights(build(SRNConfig(width=2, blocks=1)), tmp_path / f"srn{seed}")
        run = tracking.start_trial("t", study_run_id=None, number=None, config=TrialConfig(), searched={}, tags={})
        register(tracking, run.run_id, weights)
    tracking.client.delete_model_version_tag("gkmnet", "2", NETWORK_TAG)  # as in versions before that tag
    assert (load(tracking, "srn").version, load(tracking, "gkmnet").version) == (3, 1)
    tracking.client.delete_registered_model_alias("gkmnet", "challenger")
    tracking.client.set_registered_model_alias("gkmnet", "challenger", "2")
    assert load(tracking, "models:/gkmnet/srn").version == 2
    with pytest.raises(InputError, match=r"attnet: no such network is registered .*model\.kind=attnet --register"):
        load(tracking, "attnet")


def test_an_empty_registry_and_a_missing_store_are_said_and_not_made(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model is registered there"):
        load(tracking)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(InputError, match="there is no tracking database"):
        load(open_tracking(elsewhere, f"sqlite:///{elsewhere}/mlflow.db"))
    assert not elsewhere.exists()


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


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def files_of(tmp_path: Path) -> Path:
    """The weights of the only version."""
    (found,) = (tmp_path / "runs" / "artifacts").rglob("data/weights")
    return found


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "SHA256SUMS"])
def test_a_flipped_byte_is_refused_by_everything_that_loads(
    tracking: Tracking, register_as_good_as: Register, tiny_data: Path, tmp_path: Path, name: str
) -> None:
    from mlflow.pyfunc import load_model

    register_as_good_as(1.0)
    flip_a_byte(files_of(tmp_path) / name)
    uri = tracking.client.get_model_version_download_uri("gkmnet", "1")
    for use in (
        lambda: load(tracking, 1),
        lambda: promote(tracking, str(tiny_data), cache=str(tmp_path / "cache"), override="whatever"),
        lambda: study_noise(
            tracking, str(tiny_data), str(tmp_path / "noise"), selector="1", cache=str(tmp_path / "cache")
        ),
        lambda: load_model(uri),
    ):
        with pytest.raises(InputError, match="put the file back or choose another version") as refused:
            use()
        assert "\n" not in str(refused.value)
    assert aliases(tracking) == {"challenger": 1}
    assert [event["event"] for event in events(tracking)] == ["challenger"]


def test_a_version_without_a_hash_loads_and_it_is_said(
    tracking: Tracking, register_as_good_as: Register, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.pyfunc import load_model

    register_as_good_as(1.0)
    assert load(tracking, 1).hashed
    (files_of(tmp_path) / "SHA256SUMS").unlink()
    assert load(tracking, 1).hashed  # by the registry
    assert caplog.text == ""
    tracking.client.delete_model_version_tag("gkmnet", "1", "gkm.weights")
    assert not load(tracking, 1).hashed
    assert "gkmnet version 1 (challenger), file:" in caplog.text
    caplog.clear()
    load_model(tracking.client.get_model_version_download_uri("gkmnet", "1"))
    assert caplog.text.count("its weights carry no hash") == 1


def test_the_files_can_be_checked_without_gkm(register_as_good_as: Register, tmp_path: Path) -> None:
    register_as_good_as(1.0)
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=files_of(tmp_path), check=True)
    flip_a_byte(files_of(tmp_path) / "model.safetensors")
    assert subprocess.run(command, cwd=files_of(tmp_path), check=False, capture_output=True).returncode == 1


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
