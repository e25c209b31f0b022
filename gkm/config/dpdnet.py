"""Settings of DPDNet-S and DPDNet-D (Abuolaim and Brown, ECCV 2020)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gkm.config.base import Input, NetworkConfig


class DPDNetConfig(NetworkConfig):
    """The network: a U-Net of the photograph, or of its two dual-pixel views."""

    kind: Literal["dpdnet"] = "dpdnet"
    """Which network these settings are for."""
    views: Literal["single", "dual"] = "single"
    """What it sees: the photograph (DPDNet-S), or the left and right dual-pixel views (DPDNet-D)."""
    width: Annotated[int, Field(ge=2, le=256)] = 64
    """Channels of the first stage; each further one has twice as many."""
    depth: Annotated[int, Field(ge=2, le=6)] = 5
    """Stages of the encoder, with a pooling between each two."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Share of the numbers that training leaves out after each of the two deepest stages."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the network sees, in the order of its channels."""
        return ("left", "right") if self.views == "dual" else ("blurred",)

    @property
    def num_scales(self) -> int:
        """Sizes at which the network gives a result: one."""
        return 1

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop: one pixel at the deepest stage."""
        return max(16, 1 << (self.depth - 1))

    @classmethod
    def single(cls) -> Self:
        """DPDNet-S: the photograph alone."""
        return cls(views="single")

    @classmethod
    def dual(cls) -> Self:
        """DPDNet-D: both dual-pixel views."""
        return cls(views="dual")
