"""Settings of NRKNet (Quan, Wu and Ji, CVPR 2023)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gkm.config.base import NetworkConfig


class NRKNetConfig(NetworkConfig):
    """The network: recursive kernels, coefficient maps, a Neumann iteration at each scale."""

    kind: Literal["nrknet"] = "nrknet"
    """Which network these settings are for."""
    width: Annotated[int, Field(ge=2, le=256)] = 64
    """Channels of the first stage of features; the next two have 2x and 4x."""
    num_kernels: Annotated[int, Field(ge=1, le=128)] = 21
    """K: recursive kernels; with the image itself there are K + 1 versions and as many coefficient maps."""
    num_scales: Annotated[int, Field(ge=1, le=6)] = 3
    """Scales from coarse to fine."""
    blocks: Annotated[int, Field(ge=1, le=16)] = 1
    """Residual blocks in each stage of the features."""
    finest_iterations: Annotated[int, Field(ge=1, le=8)] = 1
    """Neumann iterations at the finest scale ..."""
    added_iterations: Annotated[int, Field(ge=0, le=4)] = 1
    """... and how many more there are at each next coarser one."""
    pyramid: Literal["nearest", "bilinear"] = "nearest"
    """How the input is made smaller: every second pixel, as in the authors' release, or bilinearly and antialiased."""

    @property
    def iterations(self) -> tuple[int, ...]:
        """Neumann iterations at each scale, from the coarsest to the finest."""
        scales = reversed(range(self.num_scales))
        return tuple(self.finest_iterations + self.added_iterations * scale for scale in scales)

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop: eight pixels at the coarsest scale, and the features halve these twice."""
        return max(16, 8 << (self.num_scales - 1))

    def fourier_problem(self, schedule: str) -> str | None:
        """The authors' cost has one of its own."""
        if schedule != "paper":
            return None
        return (
            "has a Fourier term of its own with loss.schedule = paper; leave the weight at 0 or choose another schedule"
        )

    @classmethod
    def paper(cls) -> Self:
        """The network of the paper's main results: width 64, K = 21, three scales of 3, 2 and 1 iterations."""
        return cls()

    @classmethod
    def official(cls) -> Self:
        """The network of the authors' release; `gkm.networks.nrknet.official` reads its checkpoints."""
        return cls()
