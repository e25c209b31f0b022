"""Image quality: restored and sharp images [B,3,H,W] in [0,1] in, one value per image [B] out.

The figures follow the usual protocol of the field (see docs/metrics.md):

- PSNR over all pixels and channels of an image, peak 1, in dB;
- SSIM of Wang et al. (2004) with an 11 x 11 Gaussian window of sigma 1.5 (or another `SsimWindow`), K1 = 0.01,
  K2 = 0.03, population covariances, averaged over R, G and B and over the windows that lie fully inside the image;
- LPIPS of Zhang et al. (2018), version 0.1 with AlexNet, on inputs scaled to [-1,1] as it expects.

PSNR and SSIM are computed in float64, where flat parts of an image keep their digits; LPIPS is the lpips package's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from gkm.errors import InputError
from gkm.lpips_weights import REMEDY, backbone_weights, make_torchvision_importable

SSIM_WINDOW_PIXELS = 11
SSIM_SIGMA_PIXELS = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
LPIPS_SMALLEST_PIXELS = 32
"""Below this AlexNet's strides leave nothing to compare."""


@dataclass(frozen=True)
class SsimWindow:
    """How SSIM weighs the pixels around each other: square, `pixels` (odd) a side."""

    shape: Literal["gaussian", "uniform"]
    """A Gaussian of sigma 1.5, or the same weight for all."""
    pixels: int
    sample_covariance: bool = False
    """Whether variances are those of a sample (times N / (N - 1)) rather than of a population."""

    @property
    def taps(self) -> list[float]:
        """Weights along one side; their sum is 1."""
        distance = torch.arange(self.pixels, dtype=torch.float64) - self.pixels // 2
        uniform = torch.ones_like(distance)
        window = torch.exp(-(distance**2) / (2 * SSIM_SIGMA_PIXELS**2)) if self.shape == "gaussian" else uniform
        return cast(list[float], (window / window.sum()).tolist())


SSIM_WINDOW = SsimWindow("gaussian", SSIM_WINDOW_PIXELS)
"""That of Wang et al. (2004)."""

_PROBE_DISTANCE = 0.03975
"""LPIPS between the two images of `_probe`, computed with the weights that reproduce the published examples."""


def psnr(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, [B]; higher is better, infinite for identical images."""
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=1)
    squared_B3HW = (restored_B3HW.double() - sharp_B3HW.double()).square()
    return -10 * squared_B3HW.mean(dim=(1, 2, 3)).log10()


def ssim(restored_B3HW: Tensor, sharp_B3HW: Tensor, window: SsimWindow = SSIM_WINDOW) -> Tensor:
    """Structural similarity, [B], at most 1; higher is better. Differentiable.

    Averaged over the windows that lie inside the image, as in the reference implementation and scikit-image.
    """
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=window.pixels)
    pairs = zip(restored_B3HW.flatten(0, 1), sharp_B3HW.flatten(0, 1), strict=True)
    means = [_ssim_of_channel(a_HW.double(), b_HW.double(), window).mean() for a_HW, b_HW in pairs]
    return torch.stack(means).reshape(-1, 3).mean(1)


def ssim_map(restored_3HW: Tensor, sharp_3HW: Tensor) -> Tensor:
    """Structural similarity of each window that lies inside the image, [H-10,W-10]: means over the channels."""
    _check_shapes(restored_3HW[None], sharp_3HW[None], smallest=SSIM_WINDOW.pixels)
    pairs = zip(restored_3HW, sharp_3HW, strict=True)
    maps = [_ssim_of_channel(a_HW.double(), b_HW.double(), SSIM_WINDOW) for a_HW, b_HW in pairs]
    return torch.stack(maps).mean(0)


def _ssim_of_channel(a_HW: Tensor, b_HW: Tensor, window: SsimWindow) -> Tensor:
    maps_4HW = torch.stack((a_HW, b_HW, a_HW * a_HW + b_HW * b_HW, a_HW * b_HW))
    mean_a, mean_b, squares, product = _windowed(maps_4HW, window)
    means, squared_means = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    variances, covariance = squares - squared_means, product - means
    if window.sample_covariance:
        correction = window.pixels**2 / (window.pixels**2 - 1)
        variances, covariance = variances * correction, covariance * correction
    luminance = (2 * means + SSIM_C1) / (squared_means + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    similarity_HW: Tensor = luminance * structure
    return similarity_HW


def _windowed(maps_CHW: Tensor, window: SsimWindow) -> Tensor:
    """Weighted averages over the windows inside, [C, H - pixels + 1, W - pixels + 1].

    Shifted copies are added up: four times as fast as convolving single channels, as measured at 1680 x 1120.
    """
    weights = window.taps
    for dimension in (1, 2):
        places = maps_CHW.shape[dimension] - window.pixels + 1
        averages = maps_CHW.narrow(dimension, 0, places) * weights[0]
        for i, weight in enumerate(weights[1:], start=1):
            averages.add_(maps_CHW.narrow(dimension, i, places), alpha=weight)
        maps_CHW = averages
    return maps_CHW


@torch.no_grad()
def lpips(
    restored_B3HW: Tensor, sharp_B3HW: Tensor, *, weights: str | Path | None = None, scaled: bool = True
) -> Tensor:
    """Learned perceptual distance (AlexNet, version 0.1), [B]; lower is better, 0 for identical images. No gradient.

    Args:
        weights: a file of AlexNet's weights; None searches as `gkm.lpips_weights` says.
        scaled: give the network [-1,1], as it expects; if not, [0,1], as some published figures were made.

    Raises:
        InputError: the weights cannot be had or are not AlexNet's, or the images are below 32 pixels.
    """
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=LPIPS_SMALLEST_PIXELS)
    network = _lpips_network(None if weights is None else str(weights), str(restored_B3HW.device))
    seen = [image.float() * 2 - 1 if scaled else image.float() for image in (restored_B3HW, sharp_B3HW)]
    distances = network(*seen)
    return cast(Tensor, distances.reshape(-1))


@lru_cache(maxsize=4)
def _lpips_network(weights: str | None, device: str) -> nn.Module:
    with warnings.catch_warnings():
        # lpips builds its backbone through arguments that torchvision has renamed.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models\._utils")
        make_torchvision_importable()
        import lpips as lpips_package

        network = cast(nn.Module, lpips_package.LPIPS(net="alex", pnet_rand=True, verbose=False))
    state = network.state_dict() | backbone_weights(weights)
    network.load_state_dict(state)
    network.requires_grad_(False).eval()
    distance = float(network(*_probe()))
    if abs(distance - _PROBE_DISTANCE) > 2e-4:
        where = weights or "the AlexNet weights found for LPIPS"
        raise InputError(
            f"{where}: gives {distance:.4f} where LPIPS is {_PROBE_DISTANCE:.4f}, so it is another network; {REMEDY}"
        )
    return network.to(device)


def _probe() -> tuple[Tensor, Tensor]:
    """Two fixed images in [-1,1]: crossed waves, and the same with half the contrast."""
    ramp = torch.arange(64, dtype=torch.float32)
    waves = torch.stack([torch.sin(ramp / d)[:, None] * torch.cos(ramp / (d + 1))[None, :] for d in (2, 3, 4)])
    return waves[None], waves[None] / 2


def _check_shapes(restored: Tensor, sharp: Tensor, smallest: int) -> None:
    if restored.shape != sharp.shape or restored.ndim != 4 or restored.shape[1] != 3:
        raise ValueError(f"needs two [B,3,H,W] of one shape, but has {list(restored.shape)} and {list(sharp.shape)}")
    if min(restored.shape[2:]) < smallest:
        height, width = restored.shape[2:]
        raise InputError(
            f"an image of {width} x {height} pixels is too small for this metric, which needs {smallest} on either "
            "side; leave it out or use larger photographs"
        )
