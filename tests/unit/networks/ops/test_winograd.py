"""Minimal filtering gives what the convolution gives."""

import pytest
import torch
from torch import nn

from gkm.networks.ops import winograd
from gkm.networks.ops.winograd import WinogradConv, with_winograd


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
@pytest.mark.parametrize("size", [(2, 2), (5, 7), (16, 24), (33, 18)])
@pytest.mark.parametrize("strip_numbers", [1, 1_000_000])
def test_results_are_those_of_the_convolution(padding_mode, size, strip_numbers, monkeypatch):
    monkeypatch.setattr(winograd, "STRIP_NUMBERS", strip_numbers)
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 9, 3, padding=1, padding_mode=padding_mode)
    x = torch.randn(2, 5, *size)
    with torch.no_grad():
        expected, found = conv(x), WinogradConv(conv)(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5


def test_many_channels_do_not_add_up_to_large_errors():
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 256, 3, padding=1)
    x = torch.randn(1, 256, 16, 16)
    with torch.no_grad():
        found = WinogradConv(conv)(x)
        exact = conv.double()(x.double())
    assert (found - exact).abs().max() < 1e-5 * (exact.max() - exact.min())


def test_gradients_come_from_the_convolution():
    conv = nn.Conv2d(2, 2, 3, padding=1)
    x = torch.rand(1, 2, 8, 8, requires_grad=True)
    WinogradConv(conv)(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_only_suitable_convolutions_are_replaced(monkeypatch):
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 4)
    suitable = nn.Conv2d(4, 4, 3, padding=1)
    others = [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding=1).to(torch.bfloat16),
        nn.ConvTranspose2d(4, 4, 3, padding=1),
    ]
    network = with_winograd(nn.Sequential(suitable, *others))
    assert [isinstance(part, WinogradConv) for part in network] == [True] + [False] * len(others)
    again = with_winograd(network)
    assert again[0].conv is suitable
