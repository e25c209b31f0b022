"""Features of one scale and the state of the scale before in; predictions and the next state out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.nn import functional


class _Tanh(Function):
    """tanh(x) = 2 sigmoid(2x) - 1, which is several times quicker than PyTorch's tanh on a processor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = (2 * x).sigmoid_().mul_(2).sub_(1)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return torch.addcmul(upstream, upstream, result * result, value=-1)


def tanh(x: Tensor) -> Tensor:
    """tanh of any tensor, in at least 32 bits; exact to 1e-7."""
    x = x if x.dtype == torch.float64 else x.float()
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.tanh(x)
    result: Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]
    return result


State = tuple[Tensor, Tensor]
"""Hidden and cell maps, both [B, C, H, W]."""


class ConvLSTM(nn.Module):
    """Convolutional LSTM cell (Shi et al., 2015): one convolution of [input, hidden] gives the gates i, f, o and g."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = channels
        self.conv = nn.Conv2d(in_channels + channels, 4 * channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The new hidden maps and the new state; `state` None stands for zeros, whose share of the work is left out."""
        if state is None:
            i, o, g = _open(self._gates_without_state(x_BCHW), self.channels)
            cell = i * g
        else:
            hidden, cell = state
            joined = torch.cat((x_BCHW, hidden.to(x_BCHW.dtype)), dim=1)
            i, f, o, g = _open(self.conv(joined), self.channels)
            cell = torch.addcmul(f * cell, i, g)
        hidden = o * tanh(cell)
        return hidden, (hidden, cell)

    def _gates_without_state(self, x_BCHW: Tensor) -> Tensor:
        """Gates i, o, g when hidden and cell maps are zero: neither the hidden inputs nor the forget gate matter."""
        c = self.channels
        weight, bias = self.conv.weight[:, : self.in_channels], self.conv.bias
        assert bias is not None
        weight = torch.cat((weight[:c], weight[2 * c :]))
        return functional.conv2d(x_BCHW, weight, torch.cat((bias[:c], bias[2 * c :])), padding=self.conv.padding)


def _open(gates_BCHW: Tensor, channels: int) -> tuple[Tensor, ...]:
    """Sigmoids of all gates but the last, and that one's tanh, each of `channels` maps and in at least 32 bits.

    All are sigmoids of one tensor, tanh(g) being 2 sigmoid(2g) - 1: a slice of channels is several times slower.
    """
    gates = gates_BCHW if gates_BCHW.dtype == torch.float64 else gates_BCHW.float()
    count = gates.shape[1] // channels
    if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        gates[:, -channels:].mul_(2)
        parts = gates.sigmoid_().chunk(count, dim=1)
        parts[-1].mul_(2).sub_(1)
        return parts
    doubled = torch.cat((gates[:, :-channels], 2 * gates[:, -channels:]), dim=1)
    *sigmoids, last = torch.sigmoid(doubled).chunk(count, dim=1)
    return *sigmoids, 2 * last - 1


class PlainConv(nn.Module):
    """The non-recurrent replacement of the Conv-LSTM (Table 4, "w/o Conv-LSTM"): one convolution of the same size."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, None]:
        """The convolved maps; there is no state."""
        del state
        return self.conv(x_BCHW), None
