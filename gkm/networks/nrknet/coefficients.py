"""Features of one scale and the state of the scale before in; coefficient maps and the next state out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.networks.nrknet.features import mirrored_conv
from gkm.networks.ops.conv_lstm import ConvLSTM, State


class Coefficients(nn.Module):
    """features_BCHW in, K+1 coefficient maps [B, K+1, H, W] out: two paths, one of them recurrent across scales."""

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.recurrent = ConvLSTM(channels, maps)
        self.detail: nn.Module = mirrored_conv(channels, maps)
        self.norm: nn.Module = nn.BatchNorm2d(maps)

    def forward(self, features_BCHW: Tensor, state: State | None) -> tuple[Tensor, State]:
        """u ReLU(detail) + u, where u is the hidden state at twice its size; and the state, at half the features'."""
        hidden, state = self.recurrent(functional.avg_pool2d(features_BCHW, 2), state)
        coarse = functional.interpolate(hidden.contiguous(), scale_factor=2, mode="nearest")
        detail = self.norm(self.detail(features_BCHW)).to(coarse.dtype)
        if torch.is_grad_enabled():
            return torch.addcmul(coarse, coarse, functional.relu(detail)), state
        return coarse.mul_(detail.relu_().add_(1)), state
