"""What a report shows of the inside of a network."""

import numpy as np
import pytest
import torch

from gkm.config import ModelConfig
from gkm.data.dataset.pair import Pair
from gkm.evaluation import restore_image, to_tensor
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.inspection import trace
from gkm.report import inside
from gkm.report.inside import look_inside

SMALL = {"max_kernel_size": 9, "num_kernels": 9, "width": 2}


def _pair(height: int, width: int) -> Pair:
    photos = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    return Pair("church", "far", *photos)


def _model(**settings: object) -> GKMNet:
    torch.manual_seed(0)
    return GKMNet(ModelConfig(**{**SMALL, **settings})).eval()


@pytest.mark.parametrize("iterations", [1, 2])
def test_last_scale_is_the_restored_photograph(iterations: int) -> None:
    model, pair = _model(num_scales=3, iterations_per_scale=iterations), _pair(41, 66)
    seen = look_inside(model, pair)
    assert [photo.shape for photo in seen.results_HW3] == [(11, 17, 3), (21, 33, 3), (41, 66, 3)]
    assert np.array_equal(seen.results_HW3[-1], restore_image(model, pair.blurred_HW3))
    assert seen.whole
    assert (seen.scene, seen.name) == ("church", "far")


def test_maps_are_the_strongest_in_the_order_of_their_kernels() -> None:
    model, pair = _model(), _pair(32, 48)
    seen = look_inside(model, pair)
    maps = trace(model, to_tensor(pair.blurred_HW3))[-1].gamma_x_KHW.numpy()
    peaks = np.abs(maps).max(axis=(1, 2))
    strongest = sorted(np.argsort(-peaks)[:6])
    assert np.array_equal(seen.maps_KHW, maps[strongest])
    assert seen.map_names == [["δ", *(f"σ {k / 4:.3g}" for k in range(1, 9))][k] for k in strongest]
    assert 0 < np.abs(seen.maps_KHW).max() < 1
    assert look_inside(_model(max_kernel_size=3, num_kernels=2), _pair(32, 48)).map_names == ["δ", "σ 0.5"]


def test_random_kernels_have_numbers_for_names() -> None:
    assert look_inside(_model(num_kernels=3, gcm="learned_random"), _pair(32, 48)).map_names == ["1", "2", "3"]


def test_a_network_without_kernels_shows_its_scales_alone() -> None:
    seen = look_inside(_model(output="sigmoid_image"), _pair(32, 48))
    assert len(seen.results_HW3) == 3
    assert len(seen.maps_KHW) == 0
    assert seen.map_names == []


def test_of_a_large_photograph_the_middle_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MOST_PIXELS", 40 * 50)
    model, pair = _model(num_scales=1), _pair(80, 100)
    seen = look_inside(model, pair)
    assert not seen.whole
    assert np.array_equal(seen.results_HW3[0], restore_image(model, pair.blurred_HW3[20:60, 25:75]))
