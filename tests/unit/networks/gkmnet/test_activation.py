"""Coefficient maps block by block: the same numbers and gradients as the formula written down once."""

import pytest
import torch
from torch.nn import functional

from gkm.networks.gkmnet import activation
from gkm.networks.gkmnet.activation import coefficients


def plainly(half, g2, slope):
    g1 = functional.interpolate(half, scale_factor=2, mode="nearest")
    return torch.tanh(slope * (g1 * functional.relu(g2) + g1))


@pytest.fixture(params=[1, 250_000])
def numbers_at_a_time(request, monkeypatch):
    """Two rows at a time, or all at once."""
    monkeypatch.setattr(activation, "NUMBERS_AT_A_TIME", request.param)


@pytest.mark.usefixtures("numbers_at_a_time")
@pytest.mark.parametrize("slope", [1.0, 0.5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_the_formula_in_value_and_gradient(slope, layout):
    torch.manual_seed(0)
    half = torch.randn(2, 6, 5, 7, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    g2 = torch.randn(2, 6, 10, 14, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    upstream = torch.randn(2, 6, 10, 14, dtype=torch.float64)
    ours, theirs = coefficients(half, g2, slope), plainly(half, g2, slope)
    torch.testing.assert_close(ours, theirs)
    assert ours.is_contiguous()
    for mine, other in zip(
        torch.autograd.grad(ours, (half, g2), upstream), torch.autograd.grad(theirs, (half, g2), upstream), strict=True
    ):
        torch.testing.assert_close(mine, other)
    assert torch.autograd.gradcheck(lambda a, b: coefficients(a, b, slope), (half, g2), fast_mode=True)


def test_sixteen_bit_features_give_maps_of_32_bits_and_gradients_of_their_own():
    half = torch.randn(1, 4, 4, 4, requires_grad=True)
    g2 = torch.randn(1, 4, 8, 8).bfloat16().requires_grad_()
    gamma = coefficients(half, g2, 1.0)
    assert gamma.dtype == torch.float32
    torch.testing.assert_close(gamma, plainly(half, g2.float(), 1.0))
    gamma.sum().backward()
    assert (half.grad.dtype, g2.grad.dtype) == (torch.float32, torch.bfloat16)
