"""Settings of DMENet (Lee et al., CVPR 2019)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from gkm.config.base import NetworkConfig


class DMENetConfig(NetworkConfig):
    """The network: a map of the blur by VGG19 and a decoder, then a deconvolution by that map."""

    kind: Literal["dmenet"] = "dmenet"
    """Which network these settings are for."""
    width: Annotated[int, Field(ge=2, le=256)] = 64
    """Channels at full size: those of VGG19's first stage; the two deepest stages have 8 times as many."""
    refinements: Annotated[int, Field(ge=0, le=32)] = 7
    """Residual blocks at full size, before the map."""
    largest_sigma_pixels: Annotated[float, Field(ge=0.5, le=7)] = 7.0
    """Largest blur of the lenses that it is trained with, as sigma of a Gaussian."""

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop: two pixels at the deepest stage, for the statistics of its norms."""
        return 32

    def fourier_problem(self, schedule: str) -> str | None:
        """Its cost is of maps."""
        return "learns maps of the blur by l2 alone; leave the weight at 0"

    @classmethod
    def paper(cls) -> Self:
        """As the paper has it, with 26.94 million parameters."""
        return cls()
