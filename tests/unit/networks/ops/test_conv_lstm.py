"""The Conv-LSTM."""

import torch

from gkm.networks.ops.conv_lstm import ConvLSTM, tanh


def test_no_state_equals_a_state_of_zeros():
    torch.manual_seed(0)
    cell = ConvLSTM(3, 4)
    x = torch.randn(2, 3, 9, 12)
    zeros = torch.zeros(2, 4, 9, 12)
    without, (hidden, memory) = cell(x, None)
    with_zeros, (hidden_zeros, memory_zeros) = cell(x, (zeros, zeros))
    torch.testing.assert_close(without, with_zeros)
    torch.testing.assert_close(memory, memory_zeros)
    assert torch.equal(without, hidden)
    assert torch.equal(with_zeros, hidden_zeros)


def test_forget_gate_keeps_and_input_gate_closes():
    cell = ConvLSTM(3, 4)
    torch.nn.init.zeros_(cell.conv.weight)
    with torch.no_grad():
        # Gates in the order i, f, o, g: nothing enters, everything is kept and shown.
        cell.conv.bias.copy_(torch.tensor([-50.0, 50.0, 50.0, 0.0]).repeat_interleave(4))
    memory = torch.randn(1, 4, 6, 6)
    shown, (_, kept) = cell(torch.randn(1, 3, 6, 6), (torch.randn(1, 4, 6, 6), memory))
    torch.testing.assert_close(kept, memory)
    torch.testing.assert_close(shown, memory.tanh())


def test_tanh_by_sigmoid_is_tanh_in_value_and_gradient():
    x = torch.linspace(-12, 12, 999, requires_grad=True)
    ours, theirs = tanh(x), torch.tanh(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-7)
    upstream = torch.randn_like(x)
    (gradient,) = torch.autograd.grad(ours, x, upstream)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, x, upstream)[0], rtol=0, atol=2e-6)
    assert torch.autograd.gradcheck(tanh, torch.randn(7, dtype=torch.float64, requires_grad=True))


def test_cell_gives_the_same_with_and_without_gradients():
    torch.manual_seed(0)
    cell = ConvLSTM(3, 4)
    x, state = torch.randn(2, 3, 8, 12), (torch.randn(2, 4, 8, 12), torch.randn(2, 4, 8, 12))
    for given in (None, state):
        shown, kept = cell(x, given)
        with torch.no_grad():
            shown_without, kept_without = cell(x, given)
        torch.testing.assert_close(shown_without, shown)
        torch.testing.assert_close(kept_without, kept)
