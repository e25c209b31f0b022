"""Parameters and multiply-adds: the published figures, and a count by hand."""

import pytest
from torch import nn

from gkm.config import ModelConfig
from gkm.networks import measure
from gkm.networks.gkmnet.gkmnet import GKMNet

PUBLISHED_SIZE = (1120, 1680)
SHARED = {"num_scales": 1, "iterations_per_scale": 3, "share_iterations": True}


def official(**settings):
    return GKMNet(ModelConfig.model_validate({**ModelConfig.official().model_dump(), **settings}))


@pytest.mark.slow
def test_release_at_the_papers_size():
    complexity = measure(official(), *PUBLISHED_SIZE)
    assert complexity.parameters == 1_409_131
    assert complexity.model_bytes == 5_647_804
    assert complexity.macs / 1e9 == pytest.approx(714.1, abs=0.05)
    assert complexity.paper_gflops == pytest.approx(603.5, rel=0.003)
    assert complexity.executed_macs < 0.85 * complexity.macs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "gflops", "millions", "tolerance"),
    [
        ({"num_scales": 1}, 459.7, 1.41, 0.003),
        ({"recurrent": "conv"}, 418.7, 1.11, 0.003),
        pytest.param({"iterations_per_scale": 2}, 1211.2, 2.81, 0.006, marks=pytest.mark.slow),
        pytest.param({"num_scales": 2, "iterations_per_scale": 3}, 1730.3, 4.22, 0.006, marks=pytest.mark.slow),
        pytest.param(SHARED, 1384.2, 1.41, 0.006, marks=pytest.mark.slow),
    ],
)
def test_tables_4_and_5(settings, gflops, millions, tolerance):
    complexity = measure(official(**settings), *PUBLISHED_SIZE)
    assert complexity.paper_gflops == pytest.approx(gflops, rel=tolerance)
    assert complexity.parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_sigmoid_output_counts_no_gaussians():
    settings = {"max_kernel_size": 9, "num_kernels": 9, "width": 8}
    mixture = measure(GKMNet(ModelConfig(**settings)), 64, 64)
    image = measure(GKMNet(ModelConfig(**settings, output="sigmoid_image")), 64, 64)
    pixels = 64 * 64 * 21 // 16
    products = 3 * 54
    assert mixture.macs - image.macs == pixels * (2 * 3 * 9 * 81 + products - 3 * 18)
    assert mixture.paper_gflops - image.paper_gflops == pytest.approx(pixels * (products - 3 * 18) / 1e9)


def test_the_measured_network_is_left_alone():
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, width=2))
    measure(model, 64, 64)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    assert model.training
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
