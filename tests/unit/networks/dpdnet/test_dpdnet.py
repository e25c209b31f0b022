"""DPDNet-S and DPDNet-D: sizes, views, what trains, and the copy for inference."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gkm.config.dpdnet import DPDNetConfig
from gkm.networks.dpdnet import DPDNet
from gkm.networks.dpdnet.dpdnet import Up


def small(**settings):
    torch.manual_seed(0)
    return DPDNet(DPDNetConfig(**{"width": 4, **settings}))


@pytest.mark.parametrize(
    ("config", "parameters", "gigamacs"),
    [(DPDNetConfig.single(), 31_033_423, 1571.0), (DPDNetConfig.dual(), 31_035_151, 1574.3)],
)
def test_size_and_work(config, parameters, gigamacs):
    with torch.device("meta"):
        network = DPDNet(config).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(torch.empty(1, 3 * len(network.inputs), 1120, 1680, device="meta"))
    assert counted.get_total_flops() / 2e9 == pytest.approx(gigamacs, abs=0.05)


@pytest.mark.parametrize("settings", [{}, {"views": "dual"}, {"depth": 2}, {"depth": 6}])
def test_every_parameter_trains(settings):
    network = small(**settings)
    seen = torch.rand(2, 3 * len(network.inputs), 97, 131)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    (restored,) = network(seen)
    assert restored.shape == (2, 3, 97, 131)
    (restored - torch.rand(2, 3, 97, 131)).square().mean().backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, before[name]), name


def test_views_are_told_apart_and_counted():
    assert small().inputs == ("blurred",)
    network = small(views="dual").eval()
    assert network.inputs == ("left", "right")
    left, right = torch.rand(2, 1, 3, 32, 32).unbind()
    with torch.no_grad():
        one, other = (network(torch.cat(views, dim=1))[0] for views in ((left, right), (right, left)))
    assert not torch.allclose(one, other)
    with pytest.raises(ValueError, match="3 channels, but the network takes three of each: left, right"):
        network(left)
    with pytest.raises(ValueError, match="15 x 32 pixels"):
        network(torch.rand(1, 6, 15, 32))


def test_dropout_is_for_training_alone():
    network, image = small(), torch.rand(1, 3, 32, 32)
    assert not torch.equal(network(image)[0], network(image)[0])
    assert torch.equal(network.eval()(image)[0], network(image)[0])
    without = small(dropout=0)
    assert torch.equal(without(image)[0], without(image)[0])


@pytest.mark.parametrize("size", [(97, 131), (16, 17)])
def test_the_copy_for_inference_gives_the_same(size):
    network = small(width=16, views="dual").eval()  # wide enough at the deepest stages for fewer multiplications
    frozen = network.for_inference()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    seen = torch.rand(1, 6, *size)
    with torch.no_grad():
        (expected,), (found,), (rough,) = network(seen), frozen(seen), network.for_inference(torch.bfloat16)(seen)
    assert (expected - found).abs().max() < 1e-5
    assert rough.dtype == torch.float32
    assert 0 < (expected - rough).abs().max() < 0.05


def test_the_even_kernel_sees_below_and_to_the_right():
    up = Up(2)
    with torch.no_grad():
        up.halving.weight.zero_()
        up.halving.bias.zero_()
        up.halving.weight[0, 0, 1, 1] = 1
        for conv in (up.convs.first, up.convs.second):
            conv.weight.zero_()
            conv.bias.zero_()
        up.convs.first.weight[0, 1, 1, 1] = 1  # the skip comes first, then what was halved
        up.convs.second.weight[0, 0, 1, 1] = 1
        x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 2, 2, 2)
        shifted = up(x, torch.full((1, 1, 4, 4), 9.0))[0, 0]
    assert shifted.tolist() == [[1, 2, 2, 0], [3, 4, 4, 0], [3, 4, 4, 0], [0, 0, 0, 0]]


def test_smallest_crop():
    assert DPDNetConfig().smallest_crop_pixels == 16
    assert DPDNetConfig(depth=6).smallest_crop_pixels == 32
    assert DPDNetConfig().num_scales == 1
