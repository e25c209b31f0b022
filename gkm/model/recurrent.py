"""Features of one scale and the state of the scale before in; predictions and the next state out."""

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
        self.in_channels = in_channels
        self.channels = channels
        self.conv = nn.Conv2d(in_channels + channels, 4 * channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The new hidden maps and the new state; `state` None stands for zeros, whose share of the work is left out."""
        if state is None:
            i, o, g = self._gates_without_state(x_BCHW).chunk(3, dim=1)
            cell = torch.sigmoid(i) * torch.tanh(g)
        else:
            hidden, cell = state
            i, f, o, g = self.conv(torch.cat((x_BCHW, hidden), dim=1)).chunk(4, dim=1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        return hidden, (hidden, cell)

    def _gates_without_state(self, x_BCHW: Tensor) -> Tensor:
        """Gates i, o, g when hidden and cell maps are zero: neither the hidden inputs nor the forget gate matter."""
        c = self.channels
        weight, bias = self.conv.weight[:, : self.in_channels], self.conv.bias
        assert bias is not None
        weight = torch.cat((weight[:c], weight[2 * c :]))
        return functional.conv2d(x_BCHW, weight, torch.cat((bias[:c], bias[2 * c :])), padding=self.conv.padding)


class PlainConv(nn.Module):
    """The non-recurrent replacement of the Conv-LSTM (Table 4, "w/o Conv-LSTM"): one convolution of the same size."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, None]:
        """The convolved maps; there is no state."""
        del state
        return self.conv(x_BCHW), None
