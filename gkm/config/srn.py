"""Settings of SRN (Tao et al., CVPR 2018)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gkm.config.base import NetworkConfig


class SRNConfig(NetworkConfig):
    """The network: an encoder-decoder of residual blocks that passes from scale to scale, with a Conv-LSTM in it."""

    kind: Literal["srn"] = "srn"
    """Which network these settings are for."""
    width: Annotated[int, Field(ge=2, le=256)] = 32
    """Channels at full size; at half and quarter size there are 2x and 4x."""
    blocks: Annotated[int, Field(ge=1, le=16)] = 3
    """Residual blocks in each of the six stages."""
    num_scales: Annotated[int, Field(ge=1, le=6)] = 3
    """Scales from coarse to fine."""
    recurrent: Literal["conv_lstm", "none"] = "conv_lstm"
    """What passes between scales beside the result: the state of a Conv-LSTM, or nothing (the release's `color`)."""
    recurrent_kernel_size: Literal[3, 5] = 5
    """Size of the Conv-LSTM's kernels; in the release 3."""
    up_kernel_size: Literal[4, 5] = 5
    """Size of the transposed convolutions' kernels; in the release 4."""
    residual: bool = False
    """Whether the network's results are added to the blurred image. Not as published: for short trainings."""

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop: one pixel between encoder and decoder at the coarsest scale."""
        return max(16, 4 << (self.num_scales - 1))

    @classmethod
    def paper(cls) -> Self:
        """As the paper has it, with 10.25 million parameters."""
        return cls()

    @classmethod
    def lstm(cls) -> Self:
        """The layers of the release's model `lstm`, with 8.06 million parameters."""
        return cls(recurrent_kernel_size=3, up_kernel_size=4)

    @classmethod
    def color(cls) -> Self:
        """The layers of the release's model `color`, with 6.88 million parameters: no Conv-LSTM."""
        return cls(recurrent="none", up_kernel_size=4)
