"""A blurred photograph in, its deblurred versions from coarse to fine out: SRN (Tao et al., CVPR 2018)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from gkm.config import LossConfig
from gkm.config.srn import SRNConfig
from gkm.losses import multi_scale_loss
from gkm.networks.network import Network, Progress, check_size
from gkm.networks.ops.conv_lstm import ConvLSTM
from gkm.networks.ops.scale_recurrent import STRIDE, EncoderDecoder, coarse_to_fine, start_xavier


class SRN(Network):
    """Scale-recurrent network: one encoder-decoder of residual blocks at all scales, a Conv-LSTM between them."""

    config: SRNConfig

    def __init__(self, config: SRNConfig) -> None:
        super().__init__(config)
        self.size_multiple = STRIDE << (config.num_scales - 1)
        channels = 4 * config.width
        memory = None
        if config.recurrent == "conv_lstm":
            memory = ConvLSTM(channels, channels, config.recurrent_kernel_size)
        self.body = EncoderDecoder(config.width, config.blocks, up_kernel_size=config.up_kernel_size, memory=memory)
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
        """The authors' cost where `loss.schedule` is "paper": the sum of all scales' squared errors, throughout."""
        return multi_scale_loss(outputs, sharp_B3HW, "l2") if loss.schedule == "paper" else None

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs, channels last; it gives the same results.

        With `dtype` bfloat16 all but the images and the state between scales is in 16 bits.
        """
        copied = copy.deepcopy(self).eval().requires_grad_(False).to(dtype)
        return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
