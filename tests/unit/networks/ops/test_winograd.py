"""Minimal filtering gives what the convolution gives."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gkm.networks.ops import winograd
from gkm.networks.ops.conv_lstm import ConvLSTM
from gkm.networks.ops.convolution import Conv3x3, Conv5x5
from gkm.networks.ops.winograd import WinogradConv, convolve, pays, with_winograd


@pytest.fixture(autouse=True)
def with_mkl(monkeypatch):
    """As on x86, where it is used."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)


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
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", {3: 4})
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


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 8, 8), (1, 2, 5, 9, 13), (3, 2, 2, 2, 3), (1, 3, 2, 1, 1), (2, 3, 3, 17, 6)]
)
@pytest.mark.parametrize("strip_numbers", [1, 3000, 1_000_000])
def test_results_and_gradients_are_those_of_the_convolution(side, shape, strip_numbers, monkeypatch):
    monkeypatch.setattr(winograd, "STRIP_NUMBERS", strip_numbers)
    torch.manual_seed(0)
    images, inputs, outputs, height, width = shape
    sizes = (images, inputs, height, width), (outputs, inputs, side, side), (outputs,)
    given = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    found, expected = convolve(*given), functional.conv2d(*given, padding=side // 2)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, given, upstream), torch.autograd.grad(expected, given, upstream)
    )


def test_gates_of_many_channels_are_exact_to_a_hundred_thousandth():
    torch.manual_seed(0)
    x, weight, upstream = torch.randn(2, 76, 33, 40), torch.randn(176, 76, 5, 5) / 44, torch.randn(2, 176, 33, 40)
    given = [x.requires_grad_(), weight.requires_grad_()]
    exactly = [part.detach().double().requires_grad_() for part in given]
    found, expected = convolve(*given), functional.conv2d(*exactly, padding=2)
    pairs = zip(
        (found, *torch.autograd.grad(found, given, upstream)),
        (expected, *torch.autograd.grad(expected, exactly, upstream.double())),
        strict=True,
    )
    for ours, exact in pairs:
        assert (ours - exact).abs().max() < 2e-5 * (exact.max() - exact.min())


def test_where_it_pays(monkeypatch):
    x, weight = torch.empty(2, 40, 32, 32), torch.empty(40, 40, 5, 5)
    assert pays(x, weight)
    assert pays(torch.empty(1, 128, 64, 64), torch.empty(128, 128, 3, 3))
    assert not pays(x, torch.empty(40, 40, 3, 3)), "few channels for small kernels"
    assert not pays(x[:, :39], weight[:, :39])
    assert not pays(x, weight[:39])
    assert not pays(x[..., 1:], weight), "small images"
    assert not pays(x[1:], weight), "few of them"
    assert not pays(x, torch.empty(40, 40, 7, 7))
    assert not pays(x.double(), weight.double())
    assert not pays(x.to("meta"), weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(x, weight)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not pays(x, weight)


def test_layers_use_it_where_it_pays(monkeypatch):
    calls = []
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", {3: 4, 5: 4})
    monkeypatch.setattr(winograd, "convolve", lambda *given: calls.append(given[1].shape[2]) or convolve(*given))
    torch.manual_seed(0)
    x = torch.randn(1, 8, 64, 64)
    cell, *layers = ConvLSTM(8, 4), Conv3x3(8, 8), Conv5x5(8, 8)
    _, state = cell(x, None)
    results = [cell(x, state)[0], *(layer(x) for layer in layers)]
    assert calls == [5, 5, 3, 5]
    monkeypatch.setattr(winograd, "pays", lambda *_: False)
    _, state = cell(x, None)
    expected = [cell(x, state)[0], *(layer(x) for layer in layers)]
    torch.testing.assert_close(results, expected, atol=1e-5, rtol=1e-5)
    assert calls == [5, 5, 3, 5]


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (64, 65)])
def test_results_may_be_changed_in_place(size):
    torch.manual_seed(0)
    conv = Conv5x5(40, 40)
    x = torch.randn(1, 40, *size, requires_grad=True)
    result = conv(x)
    assert type(result.grad_fn).__name__ == "_ConvolveBackward"
    changed = functional.relu(result, inplace=True)
    changed.sum().backward()
    theirs = functional.conv2d(x, conv.weight, conv.bias, padding=2)
    torch.testing.assert_close(changed, theirs.relu(), atol=1e-4, rtol=1e-4)
    # Where a result is as good as 0, rounding decides whether it has a gradient: asked for are those that ours has.
    expected = torch.autograd.grad(theirs[changed > 0].sum(), x)[0]
    torch.testing.assert_close(x.grad, expected, atol=1e-4, rtol=1e-4)


def test_training_may_follow_inference():
    winograd.transforms.cache_clear()
    winograd._both_axes.cache_clear()
    x, weight = torch.randn(1, 2, 8, 8), torch.randn(2, 2, 5, 5, requires_grad=True)
    with torch.inference_mode():
        convolve(x, weight)
    convolve(x, weight).sum().backward()
    assert weight.grad is not None
    assert not winograd._both_axes(5, torch.float32)[0].is_inference()
