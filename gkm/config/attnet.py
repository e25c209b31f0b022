"""Settings of AttNet (after Xu, Zhu, Quan and Ji, CVIU 2021)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gkm.config.base import NetworkConfig


class AttNetConfig(NetworkConfig):
    """The network: a scale-recurrent encoder-decoder whose residual blocks have attention."""

    kind: Literal["attnet"] = "attnet"
    """Which network these settings are for."""
    width: Annotated[int, Field(ge=2, le=256)] = 32
    """Channels at full size; at half and quarter size there are 2x and 4x."""
    blocks: Annotated[int, Field(ge=1, le=16)] = 3
    """Residual blocks in each of the six stages."""
    num_scales: Annotated[int, Field(ge=1, le=6)] = 3
    """Scales from coarse to fine."""
    reduction: Annotated[int, Field(ge=1, le=64)] = 8
    """How many times fewer numbers than channels the channel attention computes with, which are four at least."""
    residual: bool = True
    """Whether the network's results are added to the blurred image."""

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop: one pixel between encoder and decoder at the coarsest scale."""
        return max(16, 4 << (self.num_scales - 1))

    @classmethod
    def paper(cls) -> Self:
        """With the paper's 6.91 million parameters."""
        return cls()
