"""A blurred image and a recurrent state in; coefficient maps and the next state out (section 3, Figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import GKMNetConfig
from gkm.networks.gkmnet.activation import coefficients
from gkm.networks.ops.attention import TripletAttention
from gkm.networks.ops.conv_lstm import ConvLSTM, State
from gkm.networks.ops.convolution import Conv3x3


class ConvNorm(nn.Module):
    """Convolution (3x3, or transposed 2x2), batch norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, transposed: bool = False) -> None:
        super().__init__()
        self.conv: nn.Module
        if transposed:
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        elif stride == 1:
            self.conv = Conv3x3(in_channels, out_channels)
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(x_BCHW))
        return normed


class ConvNormReLU(ConvNorm):
    """Convolution, batch norm, ReLU."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return functional.relu(super().forward(x_BCHW), inplace=True)


class AttentiveBlock(nn.Module):
    """An entry layer that changes channels or size, two residual convolutions, triplet attention."""

    def __init__(self, entry: nn.Module, channels: int) -> None:
        super().__init__()
        self.entry = entry
        self.first = ConvNormReLU(channels, channels)
        self.second = ConvNormReLU(channels, channels)
        self.attention = TripletAttention()

    def forward(self, x_BCHW: Tensor, window: int | None = None) -> Tensor:
        """`window` is that of the attention."""
        x = self.entry(x_BCHW)
        x = plus(self.first(x), x)
        x = plus(self.second(x), x)
        attended: Tensor = self.attention(x, window)
        return attended


class PlainConv(nn.Module):
    """The non-recurrent replacement of the Conv-LSTM (Table 4, "w/o Conv-LSTM"): one convolution of the same size."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x_BCHW: Tensor, state: State | None) -> tuple[Tensor, None]:
        """The convolved maps; there is no state."""
        del state
        return self.conv(x_BCHW), None


class AttentionPredictionUnit(nn.Module):
    """Features [B, C, H, W] in, 2K coefficient maps in (-1, 1) out: two paths, one of them recurrent across scales."""

    def __init__(self, channels: int, maps: int, *, recurrent: str, activation: str) -> None:
        super().__init__()
        self.recurrent = (ConvLSTM if recurrent == "conv_lstm" else PlainConv)(channels, maps)
        self.detail = ConvNorm(channels, maps)
        self.slope = 0.5 if activation == "half_tanh" else 1.0

    def forward(self, features_BCHW: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        """gamma = tanh(g1 * g2 + g1) for g2 = relu(detail), and the next state."""
        half, state = self.recurrent(functional.avg_pool2d(features_BCHW, 2), state)
        return coefficients(half, self.detail(features_BCHW), self.slope), state


class SRAM(nn.Module):
    """Scale-recurrent attention module: an attentive encoder-decoder and the attention prediction unit."""

    def __init__(self, config: GKMNetConfig) -> None:
        super().__init__()
        w = config.width
        self.stem = AttentiveBlock(nn.Conv2d(3, w, kernel_size=3, padding=1), w)
        self.encoder1 = AttentiveBlock(ConvNormReLU(w, 2 * w, stride=2), 2 * w)
        self.encoder2 = AttentiveBlock(ConvNormReLU(2 * w, 4 * w, stride=2), 4 * w)
        self.bottleneck = AttentiveBlock(ConvNormReLU(4 * w, 4 * w), 4 * w)
        self.decoder1 = AttentiveBlock(ConvNormReLU(4 * w, 2 * w, transposed=True), 2 * w)
        self.decoder2 = AttentiveBlock(ConvNormReLU(2 * w, w, transposed=True), w)
        self.prediction = AttentionPredictionUnit(
            w, 2 * config.num_kernels, recurrent=config.recurrent, activation=config.coefficients
        )
        self.apply(start_xavier)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the backbone, that of its weights."""
        return next(self.parameters()).dtype

    def forward(
        self, blurred_B3HW: Tensor, state: State | None, window: int | None = None
    ) -> tuple[Tensor, State | None]:
        """2K coefficient maps [B, 2K, H, W] (for y first, then for x), and the next state at half the size.

        With `window`, a multiple of `STRIDE`, attention pools over windows of that many pixels.
        """
        # Convolutions of few channels run fastest with the channels last; the products of (9) want them first again.
        image = blurred_B3HW.to(self.dtype).contiguous(memory_format=torch.channels_last)
        of_half, of_quarter = (None, None) if window is None else (window // 2, window // 4)
        half = self.encoder1(self.stem(image, window), of_half)
        quarter = self.encoder2(half, of_quarter)
        x = plus(self.bottleneck(quarter, of_quarter), quarter)
        x = plus(self.decoder1(x, of_half), half)
        x = self.decoder2(x, window)
        gamma, state = self.prediction(x, state)
        return gamma.contiguous(), state


def plus(change: Tensor, x: Tensor) -> Tensor:
    """x + change, in the memory of `change` where no gradient can ask for it again."""
    return x + change if torch.is_grad_enabled() else change.add_(x)


def start_xavier(module: nn.Module) -> None:
    """Xavier weights and zero biases for a convolution (section 4); other modules are left alone."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
