"""The gradient of 3x3 weights as products of matrices, and when it is used."""

import pytest
import torch
from torch import nn

from gkm.networks.ops import convolution
from gkm.networks.ops.convolution import FEWEST_PIXELS, Conv3x3, own_gradient_pays, weight_gradient


@pytest.mark.parametrize("size", [(2, 3, 5, 7, 9), (1, 2, 2, 2, 6), (3, 1, 2, 5, 1), (2, 2, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_pytorchs_gradient(size, layout):
    torch.manual_seed(0)
    images, inputs, outputs, height, width = size
    x = torch.randn(images, inputs, height, width, dtype=torch.float64).contiguous(memory_format=layout)
    upstream = torch.randn(images, outputs, height, width, dtype=torch.float64).contiguous(memory_format=layout)
    expected = nn.grad.conv2d_weight(x, (outputs, inputs, 3, 3), upstream, padding=1)
    torch.testing.assert_close(weight_gradient(x, upstream), expected)


def test_all_gradients_of_the_layer(monkeypatch):
    monkeypatch.setattr(convolution, "own_gradient_pays", lambda *_: True)
    torch.manual_seed(0)
    ours, theirs = Conv3x3(3, 4), nn.Conv2d(3, 4, 3, padding=1)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 6, 5, requires_grad=True)
    upstream = torch.randn(2, 4, 6, 5)
    torch.testing.assert_close(ours(x), theirs(x))
    assert type(ours(x).grad_fn).__name__ == "_ConvolveBackward"
    mine = torch.autograd.grad(ours(x), (x, *ours.parameters()), upstream)
    others = torch.autograd.grad(theirs(x), (x, *theirs.parameters()), upstream)
    for own, other in zip(mine, others, strict=True):
        torch.testing.assert_close(own, other)
    double, x = ours.double(), x.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(double, (x,), fast_mode=True)


def test_frozen_weights_and_inputs_without_gradients(monkeypatch):
    monkeypatch.setattr(convolution, "own_gradient_pays", lambda *_: True)
    layer = Conv3x3(2, 2)
    layer(torch.randn(1, 2, 4, 4)).sum().backward()
    assert layer.weight.grad is not None
    frozen, x = Conv3x3(2, 2).requires_grad_(False), torch.randn(1, 2, 4, 4, requires_grad=True)
    frozen(x).sum().backward()
    assert x.grad is not None
    assert frozen.weight.grad is None


def test_where_it_pays(monkeypatch):
    large, small = torch.empty(4, 32, 32, 32), torch.empty(4, 32, 32, 16)
    weight, few = torch.empty(40, 32, 3, 3), torch.empty(31, 32, 3, 3)
    assert large[:, 0].numel() == FEWEST_PIXELS
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert own_gradient_pays(large, weight)
    assert not own_gradient_pays(small, weight)
    assert not own_gradient_pays(large.to("meta"), weight)
    assert not own_gradient_pays(large, few)
    with torch.no_grad():
        assert not own_gradient_pays(large, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not own_gradient_pays(large, weight)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not own_gradient_pays(large, weight)
