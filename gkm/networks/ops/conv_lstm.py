"""Features of one scale and the state of the scale before in; hidden maps and the next state out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function

from gkm.networks.ops.convolution import convolve


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
        # tanh(g) is 2 sigmoid(2g) - 1, so with the weights of g doubled all gates are sigmoids of one tensor.
        self.register_buffer("scale", torch.tensor([1.0] * 3 * channels + [2.0] * channels), persistent=False)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The new hidden maps and the new state; `state` None stands for zeros, whose share of the work is left out."""
        if state is None:
            i, o, g = self._gates(x_BCHW, with_state=False)
            cell = i * g
        else:
            hidden, cell = state
            i, f, o, g = self._gates(torch.cat((x_BCHW, hidden.to(x_BCHW.dtype)), dim=1), with_state=True)
            cell = torch.addcmul(f * cell, i, g)
        hidden = o * tanh(cell)
        return hidden, (hidden, cell)

    def _gates(self, joined_BCHW: Tensor, *, with_state: bool) -> tuple[Tensor, ...]:
        """Sigmoids of i, f and o and the tanh of g, in at least 32 bits.

        When hidden and cell maps are zero neither the hidden inputs nor the forget gate matter.
        """
        scale, c = self.get_buffer("scale"), self.channels
        assert self.conv.bias is not None
        weight, bias = self.conv.weight * scale[:, None, None, None], self.conv.bias * scale
        if not with_state:
            weight, bias = (torch.cat((part[:c], part[2 * c :])) for part in (weight[:, : self.in_channels], bias))
        gates = convolve(joined_BCHW, weight, bias)
        gates = gates if gates.dtype == torch.float64 else gates.float()
        *sigmoids, last = gates.sigmoid_().chunk(3 + with_state, dim=1)
        return *sigmoids, last.mul_(2).sub_(1) if not torch.is_grad_enabled() else 2 * last - 1
