"""A blurred photograph in, its deblurred versions from coarse to fine out: NRKNet (Quan, Wu and Ji, CVPR 2023).

Shape legend: B images, 3 colour channels, K kernels, H x W pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gkm.config import LossConfig
from gkm.config.nrknet import NRKNetConfig
from gkm.losses import squared_l2, ssim_loss
from gkm.networks.network import Network, Progress, check_size
from gkm.networks.nrknet.coefficients import Coefficients
from gkm.networks.nrknet.features import Features, Residual
from gkm.networks.nrknet.kernels import Blur
from gkm.networks.nrknet.loss import FOURIER_WEIGHT, cost_name, restoration_cost
from gkm.networks.ops.conv_lstm import State
from gkm.networks.ops.extension import extended
from gkm.networks.ops.winograd import with_winograd

STRIDE = 4
"""Heights and widths must be multiples of this at every scale: the features halve them twice."""


class NRKNet(Network):
    """Neumann network with recursive kernels: at each scale a blur is estimated, and inverted by a few iterations."""

    config: NRKNetConfig
    recomputed = (Residual, Coefficients)

    def __init__(self, config: NRKNetConfig) -> None:
        super().__init__(config)
        self.size_multiple = STRIDE << (config.num_scales - 1)
        self.features = Features(config.width, config.blocks)
        self.coefficients = Coefficients(config.width, config.num_kernels + 1)
        self.blur = Blur(config.num_kernels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, blurred_B3HW: Tensor) -> list[Tensor]:
        """Deblurred images (in [0, 1] but for over- and undershoot): one for each scale, and the final one.

        `blurred_B3HW` in [0, 1] has any height and width of at least 16. Of S scales, scale s (from 1, the coarsest) is
        ceil(H / 2^(S-s)) x ceil(W / 2^(S-s)) pixels; the final result, which joins all scales, has the input's size.
        Raises ValueError for smaller images.
        """
        return self.with_reblurred(blurred_B3HW, None)[0]

    def with_reblurred(self, blurred_B3HW: Tensor, sharp_B3HW: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        """The results of `forward`, and the sharp image blurred again with the blur found at each scale.

        The second list has a version W(maps * G(sharp)) for each scale, from coarse to fine; it is empty for None.
        """
        check_size(self, blurred_B3HW)
        height, width = blurred_B3HW.shape[-2:]
        images = self.pyramid(blurred_B3HW)
        sharps = [None] * len(images) if sharp_B3HW is None else self.pyramid(sharp_B3HW)
        restored, reblurred, changes = [], [], []
        state: State | None = None
        for y, sharp, iterations in zip(images, sharps, self.config.iterations, strict=True):
            maps, state = self._maps(y, state)
            sum_of_all, t = self._invert(y, maps, iterations)
            restored.append(sum_of_all)
            changes.append(t)
            if sharp is not None:
                reblurred.append(self._blur(sharp, maps))
        final = images[-1] + changes[-1]
        for halvings, t in enumerate(reversed(changes[:-1]), 1):
            final = final + functional.interpolate(t, scale_factor=2**halvings, mode="bilinear")
        shrinks = [2**scale for scale in reversed(range(len(images)))]
        cropped = [
            [x[..., : -(-height // shrink), : -(-width // shrink)] for x, shrink in zip(results, shrinks, strict=False)]
            for results in (restored, reblurred)
        ]
        return [*cropped[0], final[..., :height, :width]], cropped[1]

    def pyramid(self, image_B3HW: Tensor) -> list[Tensor]:
        """Versions of an image from coarse to fine; it is extended first until its coarsest one suits the features."""
        scales = self.config.num_scales
        multiple = STRIDE << (scales - 1)
        images = [extended(image_B3HW, multiple, least=2 * multiple)]
        for _ in range(scales - 1):
            if self.config.pyramid == "nearest":
                images.append(images[-1][..., ::2, ::2])
            else:
                images.append(functional.interpolate(images[-1], scale_factor=0.5, mode="bilinear", antialias=True))
        return images[::-1]

    def cost(
        self, outputs: Sequence[Tensor], input_BCHW: Tensor, sharp_B3HW: Tensor, loss: LossConfig, progress: Progress
    ) -> Tensor | None:
        """The authors' cost where `loss.schedule` is "paper": weighted scales, Fourier term with the squared error."""
        if loss.schedule != "paper":
            return None
        if cost_name(progress.epoch, progress.epochs) == "ssim":
            return restoration_cost(outputs, sharp_B3HW, ssim_loss, fourier_weight=0.0)
        return restoration_cost(outputs, sharp_B3HW, squared_l2, fourier_weight=FOURIER_WEIGHT)

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """A frozen copy for restoring photographs: batch norm folded, channels last, fewer multiplications.

        It gives the same results as this network in evaluation mode but for rounding, cannot be trained, and its
        weights cannot be loaded into another network. With `dtype` bfloat16 the convolutions compute in 16 bits, while
        images, kernels and the iterations stay as they are given.
        """
        copied = copy.deepcopy(self).eval().requires_grad_(False)
        unit = copied.coefficients
        if isinstance(unit.norm, nn.BatchNorm2d) and isinstance(unit.detail, nn.Conv2d):
            unit.detail, unit.norm = fuse_conv_bn_eval(unit.detail, unit.norm), nn.Identity()
        copied.requires_grad_(False)
        copied.features.to(dtype)
        copied.coefficients.to(dtype)
        copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return with_winograd(copied)

    def _maps(self, y_B3HW: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The coefficient maps [B, K+1, H, W] of a scale, and the state for the next."""
        if state is not None:
            hidden, cell = (functional.interpolate(part, scale_factor=2, mode="bilinear") for part in state)
            state = hidden, cell
        image = y_B3HW.to(self.features.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        maps, state = self.coefficients(self.features(image), state)
        return maps.to(y_B3HW.dtype), state

    def _invert(self, y_B3HW: Tensor, maps: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """The Neumann iteration t <- t - W(maps * G(t)) from t = y: y plus the sum of all t, and the last t."""
        total = t = y_B3HW
        for _ in range(iterations):
            t = t - self._blur(t, maps)
            total = total + t
        return total, t

    def _blur(self, image_B3HW: Tensor, maps: Tensor) -> Tensor:
        # Sums of small differences do not survive 16 bits, whatever the features are computed in.
        device = image_B3HW.device.type
        with torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext():
            blurred: Tensor = self.blur(image_B3HW, maps)
        return blurred
