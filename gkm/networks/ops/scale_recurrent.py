"""A blurred photograph in, its deblurred versions from coarse to fine out: one encoder-decoder at all scales.

The scheme of SRN (Tao et al., CVPR 2018), which AttNet shares. At each scale the encoder-decoder sees the blurred image
and the result of the scale before. Shape legend: B images, C channels (`width`), H x W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkm.config import LossConfig
from gkm.config.attnet import AttNetConfig
from gkm.config.srn import SRNConfig
from gkm.losses import multi_scale_loss
from gkm.networks.network import Network, Progress, check_size
from gkm.networks.ops.conv_lstm import ConvLSTM, State
from gkm.networks.ops.convolution import Conv5x5
from gkm.networks.ops.pyramid import STRIDE, doubled, pyramid

KERNEL_SIZE = 5
"""Of all convolutions but the transposed ones and those of the Conv-LSTM."""


def rectified(x: Tensor) -> Tensor:
    """ReLU, in place: nobody asks again for what it was given."""
    return functional.relu(x, inplace=True)


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 5x5 convolution with a bias; beyond its border are zeros."""
    if stride == 1:
        return Conv5x5(in_channels, out_channels)
    return nn.Conv2d(in_channels, out_channels, KERNEL_SIZE, stride, padding=KERNEL_SIZE // 2)


def doubling(in_channels: int, out_channels: int, kernel_size: int) -> nn.ConvTranspose2d:
    """A transposed convolution with a bias, of size 4 or 5, that doubles height and width."""
    odd = kernel_size % 2
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride=2, padding=1 + odd, output_padding=odd)


class Residual(nn.Module):
    """x + second(ReLU(first(x))), without norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.change(x_BCHW)

    def change(self, x_BCHW: Tensor) -> Tensor:
        """What is added to x."""
        change: Tensor = self.second(rectified(self.first(x_BCHW)))
        return change


class EncoderDecoder(nn.Module):
    """The blurred image and the result so far [B, 6, H, W] in, a result [B, 3, H, W] out.

    C, 2C and 4C channels at full, half and quarter size; `blocks` blocks in each of the six stages; the encoder's
    stages are added to the decoder's. With `memory`, a Conv-LSTM of 4C channels stands between the two.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        *,
        up_kernel_size: int,
        block: Callable[[int], nn.Module] = Residual,
        memory: ConvLSTM | None = None,
    ) -> None:
        super().__init__()
        c = width

        def stage(channels: int) -> nn.Sequential:
            return nn.Sequential(*(block(channels) for _ in range(blocks)))

        self.stem = conv(6, c)
        self.encoder1 = stage(c)
        self.down2 = conv(c, 2 * c, stride=2)
        self.encoder2 = stage(2 * c)
        self.down3 = conv(2 * c, 4 * c, stride=2)
        self.encoder3 = stage(4 * c)
        self.memory = memory
        self.decoder3 = stage(4 * c)
        self.up2 = doubling(4 * c, 2 * c, up_kernel_size)
        self.decoder2 = stage(2 * c)
        self.up1 = doubling(2 * c, c, up_kernel_size)
        self.decoder1 = stage(c)
        self.to_image = conv(c, 3)

    def forward(self, seen_B6HW: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        full = self.encoder1(rectified(self.stem(seen_B6HW)))
        half = self.encoder2(rectified(self.down2(full)))
        z = self.encoder3(rectified(self.down3(half)))
        if self.memory is not None:
            hidden, state = self.memory(z, state)
            z = hidden.to(z.dtype)
        z = self.decoder3(z)
        z = self.decoder2(rectified(self.up2(z)) + half)
        z = self.decoder1(rectified(self.up1(z)) + full)
        return self.to_image(z), state


def coarse_to_fine(
    body: EncoderDecoder, blurred_B3HW: Tensor, num_scales: int, *, residual: bool = False
) -> list[Tensor]:
    """Results of all scales, the last of the photograph's size, one halved s times of ceil(H / 2^s) x ceil(W / 2^s).

    At the coarsest scale the blurred image stands for the result before. No gradient passes from a scale's image to
    the one before, as in SRN's release; by the state of the Conv-LSTM it does. With `residual` each result is the
    blurred image plus what the encoder-decoder gives.
    """
    height, width = blurred_B3HW.shape[-2:]
    results: list[Tensor] = []
    before: Tensor | None = None
    state: State | None = None
    for scale, blurred in enumerate(pyramid(blurred_B3HW, num_scales)):
        before = blurred if before is None else doubled(before.detach())
        if state is not None:
            state = doubled(state[0]), doubled(state[1])
        seen = torch.cat((blurred, before), dim=1).to(body.stem.weight.dtype)
        image, state = body(seen.contiguous(memory_format=torch.channels_last), state)
        before = blurred + image.to(blurred.dtype) if residual else image.to(blurred.dtype)
        shrink = 2 ** (num_scales - 1 - scale)
        results.append(before[..., : -(-height // shrink), : -(-width // shrink)])
    return results


def start_xavier(body: EncoderDecoder, *, residual: bool) -> None:
    """Uniform weights after Glorot and Bengio (2010) and zero biases; the Conv-LSTM's small, its forget gate open.

    With `residual` the last convolution starts so small that each result is the blurred image.
    """
    for module in body.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if (memory := body.memory) is not None:
        nn.init.trunc_normal_(memory.conv.weight, std=1e-3, a=-2e-3, b=2e-3)
        assert memory.conv.bias is not None
        with torch.no_grad():
            memory.conv.bias[memory.channels : 2 * memory.channels] = 1
    if residual:
        nn.init.normal_(body.to_image.weight, std=1e-3)


class ScaleRecurrent(Network):
    """One encoder-decoder at all scales, from coarse to fine."""

    config: SRNConfig | AttNetConfig

    def __init__(self, config: SRNConfig | AttNetConfig, body: EncoderDecoder) -> None:
        super().__init__(config)
        self.size_multiple = STRIDE << (config.num_scales - 1)
        self.body = body
        start_xavier(self.body, residual=config.residual)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """Deblurred images (in [0, 1] but for over- and undershoot), one for each scale from coarse to fine.

        `blurred_B3HW` in [0, 1] has any height and width of at least 16. Of S scales, scale s (from 1, the coarsest) is
        ceil(H / 2^(S-s)) x ceil(W / 2^(S-s)) pixels. Raises ValueError for smaller images.
        """
        check_size(self, blurred_B3HW)
        return coarse_to_fine(self.body, blurred_B3HW, self.config.num_scales, residual=self.config.residual)

    def cost(
        self, outputs: Sequence[Tensor], input_BCHW: Tensor, sharp_B3HW: Tensor, loss: LossConfig, progress: Progress
    ) -> Tensor | None:
        """Where `loss.schedule` is "paper", the cost of SRN's authors: the sum of all scales' squared errors."""
        if loss.schedule != "paper":
            return None
        return multi_scale_loss(outputs, sharp_B3HW, "l2", fourier_weight=loss.fourier_weight)

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs, channels last; it gives the same results.

        With `dtype` bfloat16 all but the images and the state between scales is in 16 bits.
        """
        copied = copy.deepcopy(self).eval().requires_grad_(False).to(dtype)
        return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
