"""Settings of GKMNet (section 3 of the paper)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gkm.config.base import NetworkConfig

SMALLEST_SCALE_PIXELS = 8
"""Least side of the coarsest scale of a training crop: two encoder steps and the pooling halve it three times."""


class GKMNetConfig(NetworkConfig):
    """The network (section 3 of the paper)."""

    kind: Literal["gkmnet"] = "gkmnet"
    max_kernel_size: Annotated[int, Field(ge=1, le=63)] = 21
    """M: the largest Gaussian kernel, in pixels; odd."""
    num_kernels: Annotated[int, Field(ge=1, le=128)] = 21
    """K: kernels in the bank, the Dirac delta included."""
    num_scales: Annotated[int, Field(ge=1, le=6)] = 3
    """T: scales from coarse to fine."""
    iterations_per_scale: Annotated[int, Field(ge=1, le=8)] = 1
    """R: iterations of equation (7) at each scale (Table 5)."""
    gcm: Literal["fixed", "learned_gaussian", "learned_random"] = "fixed"
    """Kernels of the Gaussian convolution module: fixed, or learned from Gaussian or random (Xavier) ones (Table 4)."""
    width: Annotated[int, Field(ge=2, le=256)] = 32
    """Channels of the first encoder stage; the next two have 2x and 4x."""

    recurrent: Literal["conv_lstm", "conv"] = "conv_lstm"
    """Link between scales in the attention prediction unit: the Conv-LSTM, or one plain convolution (Table 4)."""
    output: Literal["mixture", "sigmoid_image"] = "mixture"
    """What a block gives: equation (9), or the SRAM's own image through a sigmoid ("SRAM*" of Table 4)."""
    share_iterations: bool = False
    """With R > 1: one set of weights for all iterations, or one for each (Table 5 has both)."""
    residual: bool = True
    """Whether equation (9) starts from y_t; the authors' release leaves it out."""
    bank: Literal["paper", "official"] = "paper"
    """The paper's K kernels on each of R, G and B, or the release's M + 1, of which each channel sees about a third."""
    coefficients: Literal["tanh", "half_tanh"] = "tanh"
    """Activation of the coefficient maps: tanh(g), or the release's 2 sigmoid(g) - 1 = tanh(g / 2)."""
    omega: Literal["per_scale", "shared_with_bias"] = "per_scale"
    """The weights omega of equation (9): one set for each scale, or the release's single set with a bias."""
    window_pixels: Annotated[int | None, Field(ge=16, le=4096)] = None
    """Where photographs are restored, triplet attention pools over windows of this side, that of training crops, in
    the place of whole rows and columns (None). No weight depends on it."""

    of_restoring: ClassVar[frozenset[str]] = frozenset({"window_pixels"})

    @field_validator("max_kernel_size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(
                f"a kernel has a centre pixel, so M must be odd, but is {value}; use {value - 1} or {value + 1}"
            )
        return value

    @model_validator(mode="after")
    def _official_bank_is_whole(self) -> Self:
        if self.bank == "official" and (self.num_kernels != self.max_kernel_size + 1 or self.gcm != "fixed"):
            raise ValueError(
                f"bank = 'official' has num_kernels = max_kernel_size + 1 fixed kernels, but is given num_kernels = "
                f"{self.num_kernels}, max_kernel_size = {self.max_kernel_size} and gcm = '{self.gcm}'; "
                "match them or use bank = 'paper'"
            )
        return self

    @property
    def smallest_crop_pixels(self) -> int:
        """Least side of a training crop, in pixels: it is halved between scales."""
        return SMALLEST_SCALE_PIXELS << (self.num_scales - 1)

    @classmethod
    def paper(cls) -> Self:
        """The network of the paper's main results: M = K = 21, T = 3, R = 1, fixed kernels, width 32."""
        return cls()

    @classmethod
    def official(cls) -> Self:
        """The network of the authors' release; `gkm.networks.gkmnet.official` reads its checkpoints."""
        return cls(num_kernels=22, residual=False, bank="official", coefficients="half_tanh", omega="shared_with_bias")
