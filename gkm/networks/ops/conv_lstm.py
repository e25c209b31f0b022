"""Features of one scale and the state of the scale before in; hidden maps and the next state out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]
"""Hidden and cell maps, both [B, C, H, W]."""


class ConvLSTM(nn.Module):
    """Convolutional LSTM cell (Shi et al., 2015): one convolution of [input, hidden] gives the gates i, f, o and g."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.in_channels, self.channels = in_channels, channels
        self.conv = nn.Conv2d(in_channels + channels, 4 * channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> State:
        """The new state, hidden maps first; `state` None stands for zeros, whose share of the work is left out."""
        if state is None:
            # With a hidden state of zeros its inputs do not matter, and with a cell of zeros the forget gate does not.
            weight, bias, c = self.conv.weight[:, : self.in_channels], self.conv.bias, self.channels
            assert bias is not None
            weight, bias = torch.cat((weight[:c], weight[2 * c :])), torch.cat((bias[:c], bias[2 * c :]))
            gates = functional.conv2d(x_BCHW, weight, bias, padding=self.conv.padding)
            i, o, g = _at_least_32_bits(gates).chunk(3, dim=1)
            cell = torch.sigmoid(i) * torch.tanh(g)
        else:
            hidden, cell = state
            gates = self.conv(torch.cat((x_BCHW, hidden.to(x_BCHW.dtype)), dim=1))
            i, f, o, g = _at_least_32_bits(gates).chunk(4, dim=1)
            cell = torch.addcmul(torch.sigmoid(f) * cell, torch.sigmoid(i), torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(cell), cell


def _at_least_32_bits(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
