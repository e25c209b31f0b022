"""Triplet attention."""

import pytest
import torch

from gkm.networks.ops.attention import TripletAttention


def permuted(attention, x):
    """Triplet attention as it was published: each branch permutes x, pools its second axis and permutes back."""

    def gate(branch, x):
        return x * branch(x.amax(1), x.mean(1)).unsqueeze(1)

    spatial = gate(attention.spatial, x)
    column = gate(attention.column, x.permute(0, 2, 1, 3)).permute(0, 2, 1, 3)
    row = gate(attention.row, x.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
    return (spatial + column + row) / 3


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("values", [torch.clone, torch.round, torch.relu], ids=["distinct", "ties", "zeros"])
def test_equals_the_permuting_definition_in_value_and_gradient(values, training):
    torch.manual_seed(0)
    attention = TripletAttention().double().train(training)
    x = values(torch.randn(2, 5, 7, 9, dtype=torch.float64))
    x[:, 2].clamp_(max=0)
    x.requires_grad_()
    ours = attention(x)
    upstream = torch.randn_like(ours)
    (grad,) = torch.autograd.grad(ours, x, upstream)
    theirs = permuted(attention, x)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(grad, torch.autograd.grad(theirs, x, upstream)[0])


def test_keeps_the_shape_and_shrinks_magnitudes():
    attention = TripletAttention()
    x = torch.randn(2, 6, 8, 12)
    y = attention(x)
    assert y.shape == x.shape
    assert (y.abs() <= x.abs()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [9, 16, 37])
def test_without_gradients_and_in_16_bits_it_is_the_same_function(dtype, width):
    torch.manual_seed(0)
    attention = TripletAttention().eval()
    x = torch.randn(2, 4, 8, width).to(dtype).contiguous(memory_format=torch.channels_last)
    expected = attention(x.float())
    with torch.no_grad():
        ours = attention.to(dtype)(x)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours.float(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.03)
