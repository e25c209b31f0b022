"""A blurred photograph in, its deblurred versions from coarse to fine out: SRN (Tao et al., CVPR 2018)."""

from __future__ import annotations

from gkm.config.srn import SRNConfig
from gkm.networks.ops.conv_lstm import ConvLSTM
from gkm.networks.ops.scale_recurrent import EncoderDecoder, ScaleRecurrent


class SRN(ScaleRecurrent):
    """Scale-recurrent network: one encoder-decoder of residual blocks at all scales, a Conv-LSTM between them."""

    config: SRNConfig

    def __init__(self, config: SRNConfig) -> None:
        channels = 4 * config.width
        memory = None
        if config.recurrent == "conv_lstm":
            memory = ConvLSTM(channels, channels, config.recurrent_kernel_size)
        body = EncoderDecoder(config.width, config.blocks, up_kernel_size=config.up_kernel_size, memory=memory)
        super().__init__(config, body)
