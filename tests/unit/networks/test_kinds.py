"""Every network of the project does what the platform asks of a network."""

from pathlib import Path

import pytest
import torch

from gkm.config import (
    AttNetConfig,
    DataConfig,
    DMENetConfig,
    DPDNetConfig,
    GKMNetConfig,
    LossConfig,
    NRKNetConfig,
    SRNConfig,
    TrainingConfig,
    TrialConfig,
)
from gkm.config.base import NetworkConfig
from gkm.errors import InputError
from gkm.networks import build, measure
from gkm.study.single.launch import Launch
from gkm.tracking import open_tracking
from gkm.training.context import LocalContext
from gkm.training.store import open_store
from gkm.trial import run_trial

SMALL: list[NetworkConfig] = [
    GKMNetConfig(max_kernel_size=5, num_kernels=3, num_scales=2, width=2),
    NRKNetConfig(width=4, num_kernels=3, num_scales=2),
    DPDNetConfig(width=2, depth=3),
    SRNConfig(width=2, blocks=1, num_scales=2),
    AttNetConfig(width=2, blocks=1, num_scales=2),
    DMENetConfig(width=2, refinements=1),
]
DUAL = DPDNetConfig(width=2, depth=3, views="dual")


@pytest.mark.parametrize("settings", [*SMALL, DUAL], ids=lambda settings: settings.kind)
def test_one_step_reaches_every_parameter_and_the_last_result_has_the_inputs_size(settings: NetworkConfig) -> None:
    torch.manual_seed(0)
    network = build(settings).train()
    outputs = network(torch.rand(2, 3 * len(network.inputs), 97, 131))
    assert outputs[-1].shape == (2, 1 if settings.kind == "dmenet" else 3, 97, 131)  # which learns maps
    sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
    lacking = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == []


@pytest.mark.parametrize("settings", [*SMALL, DUAL], ids=lambda settings: settings.kind)
def test_inference_restores_the_same_and_small_images_are_refused(settings: NetworkConfig) -> None:
    torch.manual_seed(0)
    network = build(settings).eval()
    image = torch.rand(1, 3 * len(network.inputs), 45, 62)
    with torch.no_grad():
        wanted, found = network(image)[-1], network.for_inference()(image)[-1]
    assert (wanted - found).abs().max() < 1e-4 * wanted.abs().max()
    with pytest.raises(ValueError, match="at least 16 x 16"):
        network(image[..., :15, :])
    with pytest.raises(ValueError, match="channels"):
        network(torch.rand(1, 4, 32, 32))


@pytest.mark.parametrize("settings", [*SMALL, DUAL], ids=[*(one.kind for one in SMALL), "dpdnet dual"])
def test_training_stopped_and_resumed_is_bit_exact(settings: NetworkConfig, tiny_views: Path, tmp_path: Path) -> None:
    config = TrialConfig(
        model=settings,
        data=DataConfig(crop_pixels=32, batch_size=2),
        loss=LossConfig(schedule="paper"),
        training=TrainingConfig(epochs=3),
    )

    class Stopped(LocalContext):
        def report(self, metrics: object) -> None:
            raise KeyboardInterrupt

    whole, halved = open_store(str(tmp_path / "whole")), open_store(str(tmp_path / "halved"))
    result = run_trial(config, str(tiny_views), LocalContext(whole), cache=str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_trial(config, str(tiny_views), Stopped(halved), cache=str(tmp_path / "cache"))
    again = run_trial(config, str(tiny_views), LocalContext(halved), cache=str(tmp_path / "cache"))
    assert [m["train/loss"] for m in again.history] == [m["train/loss"] for m in result.history]
    assert [m["val/psnr"] for m in again.history] == [m["val/psnr"] for m in result.history]
    one, other = (
        {path.parent.name: path.read_bytes() for path in (tmp_path / name / "best").rglob("model.safetensors")}
        for name in ("whole", "halved")
    )
    assert one
    assert one == other


def test_complexity_of_the_published_networks() -> None:
    for settings, parameters, gigamacs in (
        (DPDNetConfig.single(), 31_033_423, 1571.0),
        (DPDNetConfig.dual(), 31_035_151, 1574.3),
    ):
        found = measure(build(settings), 1120, 1680)
        assert found.parameters == parameters
        assert found.macs / 1e9 == pytest.approx(gigamacs, abs=0.05)
    assert measure(build(NRKNetConfig()), 64, 64).parameters == 6_094_107


def test_a_data_set_without_views_is_refused_by_name(tiny_data: Path, tiny_views: Path, tmp_path: Path) -> None:
    config = TrialConfig(model=DUAL, data=DataConfig(crop_pixels=32))
    tracking = open_tracking(tmp_path / "runs", f"sqlite:///{tmp_path}/runs/mlflow.db")
    sentence = (
        rf"{tiny_data}: has no dual-pixel views of .*, but the network sees left and right; prepare it again with --"
    )
    with pytest.raises(InputError, match=sentence):
        Launch(config, str(tiny_data), str(tmp_path / "trials"), tracking).check(None)
    with pytest.raises(InputError, match=sentence):
        run_trial(config, str(tiny_data), LocalContext(open_store(str(tmp_path / "trials"))))
    assert not list(tmp_path.iterdir())
    Launch(config, str(tiny_views), str(tmp_path / "trials"), tracking).check(None)


def test_a_setting_of_another_network_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="gcm is no setting of nrknet"):
        TrialConfig.from_dict({"model": {"kind": "nrknet", "gcm": "fixed"}})
