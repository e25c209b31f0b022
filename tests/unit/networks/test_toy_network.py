"""A network of another package: found by its entry point, then trained, kept, registered, searched and used.

Nothing in `gkm` knows of it: what works here works for any network.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gkm.config import TrialConfig
from gkm.config import networks as settings_table
from gkm.data.photos import read_rgb
from gkm.data.reading.cache import open_split
from gkm.errors import InputError
from gkm.evaluation import restore_image, restorer, restoring
from gkm.networks import build, kinds, load_official, measure, strips
from gkm.networks.export import export_program, extend
from gkm.registry import load, register
from gkm.report.inside import look_inside
from gkm.study.design.space import Choice, Condition, SearchSpace
from gkm.study.planning.workload import multiply_adds_per_pixel
from gkm.tracking import open_tracking
from gkm.training.checkpoint import load_weights
from gkm.training.context import LocalContext
from gkm.training.store import open_store
from gkm.trial import run_trial
from pipelines import deblur
from pipelines.terminal.command import build as build_command

TOY = '''
"""Two convolutions, at half the size and at the whole."""
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from gkm.config import NetworkConfig
from gkm.networks import Network, register


class ToyConfig(NetworkConfig):
    kind: Literal["toy"] = "toy"
    channels: int = 4
    gain: float = 1.0

    @property
    def smallest_crop_pixels(self):
        return 24


class Toy(Network):
    size_multiple = 2
    reach_pixels = 8

    def __init__(self, config):
        super().__init__(config)
        self.first = nn.Conv2d(3, config.channels, 3, padding=1)
        self.last = nn.Conv2d(config.channels, 3, 3, padding=1)

    def forward(self, input_BCHW):
        height, width = input_BCHW.shape[-2:]
        image = functional.pad(input_BCHW, (0, width % 2, 0, height % 2), mode="replicate")
        half = self.sharpen(functional.avg_pool2d(image, 2))
        whole = self.sharpen((image + functional.interpolate(half, scale_factor=2)) / 2)
        return [half, whole[..., :height, :width]]

    def sharpen(self, image):
        return image + self.config.gain * self.last(functional.relu(self.first(image)))

    def cost(self, outputs, input_BCHW, sharp_B3HW, loss, progress):
        if loss.schedule != "paper":
            return None
        return (outputs[-1] - sharp_B3HW).abs().mean() * (1 + progress.epoch)


register(ToyConfig, Toy)
'''
SETTINGS = {
    "model": {"kind": "toy"},
    "data": {"crop_pixels": 32},
    "loss": {"schedule": "l2"},
    "training": {"epochs": 2},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialConfig]:
    """Settings of the toy, whose package has just been installed and is gone after the test."""
    folder = tmp_path / "installed"
    information = folder / "toynet-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "toynet.py").write_text(TOY)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toynet\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[gkm.networks]\ntoy = toynet\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(settings_table, "_KINDS", dict(settings_table._KINDS))
    monkeypatch.setattr(kinds, "_REGISTERED", dict(kinds._REGISTERED))
    yield TrialConfig.from_dict(SETTINGS)
    sys.modules.pop("toynet", None)


def train(config: TrialConfig, data: Path, folder: Path):
    return run_trial(config, str(data), LocalContext(open_store(str(folder))), cache=str(folder.parent / "cache"))


@pytest.mark.slow
def test_it_trains_goes_on_is_kept_registered_loaded_and_deblurs(
    config: TrialConfig, tiny_data: Path, tmp_path: Path
) -> None:
    done = train(config, tiny_data, tmp_path / "trial")
    assert train(config, tiny_data, tmp_path / "trial").history == done.history
    with pytest.raises(InputError, match=r"model\.kind is toy in the checkpoint, gkmnet now"):
        train(config.with_values({"model.kind": "gkmnet", "model.num_scales": 1}), tiny_data, tmp_path / "trial")

    best = next((tmp_path / "trial" / "best").iterdir())
    assert type(load_weights(best)).__name__ == "Toy"
    workspace = tmp_path / "runs"
    tracking = open_tracking(workspace, f"sqlite:///{workspace}/mlflow.db")
    run = tracking.start_trial("t", study_run_id=None, number=None, config=config, searched={}, tags={})
    assert register(tracking, run.run_id, best) == 1
    network = load(tracking).model
    pair = open_split(str(tiny_data), "test", str(tmp_path / "cache"))[0]
    restored = restore_image(network, pair.blurred_HW3)
    assert np.array_equal(restored, restore_image(load_weights(best), pair.blurred_HW3))
    assert (restored != pair.blurred_HW3).any()
    assert look_inside(network, pair) is None
    record = tracking.client.get_run(run.run_id)
    assert record.data.params["model.kind"] == "toy"

    photo = tmp_path / "photo.png"
    Image.fromarray(pair.blurred_HW3).save(photo)
    arguments = [str(photo), "--out", str(tmp_path / "out"), "--workspace", str(workspace)]
    answer = CliRunner().invoke(build_command(deblur.main), arguments, env={"MLFLOW_TRACKING_URI": None})
    assert answer.exit_code == 0, answer.output
    assert np.array_equal(read_rgb(tmp_path / "out" / "photo.png"), restored)


def test_its_own_cost_is_used_where_the_schedule_is_its_papers(
    config: TrialConfig, tiny_data: Path, tmp_path: Path
) -> None:
    """Absolute differences, twice as much in the second epoch; the learning rate leaves the weights as they are."""
    slow = config.with_values({"loss.schedule": "paper", "optim.learning_rate": 1e-12})
    losses = [metrics["train/loss"] for metrics in train(slow, tiny_data, tmp_path / "trial").history]
    assert losses[1] / losses[0] == pytest.approx(2, rel=0.3)


def test_a_large_photograph_passes_in_strips(config: TrialConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(config.model).eval()
    photo = torch.rand(1, 3, 101, 67)
    with torch.no_grad():
        whole = network(photo)[-1]
    for strip_pixels in (1, 67 * 30, 10**6):
        torch.testing.assert_close(strips.restore(network, photo, strip_pixels=strip_pixels), whole)
    rows = []
    monkeypatch.setattr(type(network), "forward", lambda self, x: rows.append(x.shape[2]) or [x])
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1)
    monkeypatch.setattr(restoring, "LARGE_PIXELS", 100)
    assert torch.equal(restorer(network)(photo), photo)
    assert max(rows) < 40


def test_it_is_measured_and_exported(config: TrialConfig) -> None:
    network = build(config.model).eval()
    found = measure(network, 64, 48)
    assert found.parameters == 4 * 28 + 3 * 37
    assert found.macs == found.executed_macs == 64 * 48 * 5 // 4 * 2 * 4 * 27
    assert multiply_adds_per_pixel(config.model) == pytest.approx(found.macs / 64 / 48)
    photo = torch.rand(1, 3, 33, 50)
    with torch.no_grad():
        restored = export_program(network).module()(extend(photo, network))
        torch.testing.assert_close(restored[..., :33, :50], network(photo)[-1])


def test_its_settings_are_told_from_those_of_others(config: TrialConfig) -> None:
    assert config.fingerprint() != TrialConfig.from_dict(SETTINGS | {"model": {}}).fingerprint()
    assert config.with_values({"model.gain": 2.0}).fingerprint() != config.fingerprint()
    narrow = TrialConfig().with_values({"model.kind": "toy", "model.channels": 2})
    assert narrow.model == type(config.model)(channels=2)
    assert narrow.with_values({"model.kind": "gkmnet"}) == TrialConfig()
    for values, sentence in (
        (
            {"model.num_scales": 2},
            r"model\.num_scales is no setting of toy, but of gkmnet, nrknet, srn and attnet; leave it out",
        ),
        ({"model.chanels": 2}, r"model\.chanels is no setting; did you mean model\.channels\?"),
        ({"model.kind": "gkmnet", "model.channels": 2}, r"model\.channels is no setting of gkmnet, but of toy"),
        ({"data.crop_pixels": 20}, r"data\.crop_pixels = 20 is too small: toy .* at least 24 pixels"),
        (
            {"model.kind": "toys"},
            r"model\.kind = 'toys': .*; the networks are gkmnet, nrknet, dpdnet, srn, attnet, dmenet, toy",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            config.with_values(values)
    with pytest.raises(InputError, match="toy: is no network with released checkpoints; choose from gkmnet"):
        load_official("weights.pth", "toy")


def test_networks_are_searched_with_settings_of_their_own(config: TrialConfig) -> None:
    parameters = {
        "model.kind": Choice("gkmnet", "toy"),
        "model.num_scales": Condition("model.kind", ("gkmnet",), Choice(1, 2)),
        "model.channels": Condition("model.kind", ("toy",), Choice(2, 4)),
    }
    space = SearchSpace(parameters, base=config.with_values({"model.gain": 0.5}))
    drawn = space.config({"model.kind": "toy", "model.channels": 2}).model
    assert (drawn.channels, drawn.gain) == (2, 0.5)
    assert space.config({"model.kind": "gkmnet", "model.num_scales": 2}).model.num_scales == 2
    with pytest.raises(InputError, match=r"model\.num_scales is no setting of toy"):
        SearchSpace(parameters | {"model.num_scales": Choice(1, 2)}, base=config)
