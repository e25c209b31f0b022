"""Image quality: restored and sharp images [B,3,H,W] in [0,1] in, one value per image [B] out.

The figures follow the usual protocol of the field (see docs/metrics.md):

- PSNR over all pixels and channels of an image, peak 1, in dB;
- SSIM of Wang et al. (2004) with an 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, population
  covariances, averaged over R, G and B and over the windows that lie fully inside the image;
- LPIPS of Zhang et al. (2018), version 0.1 with AlexNet, on inputs scaled to [-1,1] as it expects.

PSNR and SSIM are torchmetrics', LPIPS is the lpips package's.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from gkm.errors import InputError
from gkm.lpips_weights import REMEDY, backbone_weights, make_torchvision_importable

make_torchvision_importable()  # torchmetrics' image metrics import torchvision

from torchmetrics.functional.image import (  # noqa: E402
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

SSIM_WINDOW_PIXELS = 11
LPIPS_SMALLEST_PIXELS = 32
"""Below this AlexNet's strides leave nothing to compare."""

_PROBE_DISTANCE = 0.03975
"""LPIPS between the two images of `_probe`, computed with the weights that reproduce the published examples."""


def psnr(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, [B]; higher is better, infinite for identical images."""
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=1)
    values = peak_signal_noise_ratio(restored_B3HW, sharp_B3HW, data_range=1.0, dim=(1, 2, 3), reduction="none")
    return values.reshape(-1)


def ssim(restored_B3HW: Tensor, sharp_B3HW: Tensor) -> Tensor:
    """Structural similarity, [B], at most 1; higher is better. Differentiable.

    torchmetrics mirrors the image at its border and averages over all windows; its map is cropped here to the windows
    that lie inside the image, as in the reference implementation and scikit-image. In float32, torchmetrics' variances
    lose digits where an image is flat: there a window's value is off by up to 3e-4.
    """
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=SSIM_WINDOW_PIXELS)
    _, map_B3HW = structural_similarity_index_measure(
        restored_B3HW,
        sharp_B3HW,
        gaussian_kernel=True,
        sigma=1.5,  # torchmetrics derives the 11 taps from sigma: 2 * int(3.5 * 1.5 + 0.5) + 1
        data_range=1.0,
        reduction="none",
        return_full_image=True,
    )
    margin = SSIM_WINDOW_PIXELS // 2
    return map_B3HW[:, :, margin:-margin, margin:-margin].mean(dim=(1, 2, 3))


@torch.no_grad()
def lpips(restored_B3HW: Tensor, sharp_B3HW: Tensor, *, weights: str | Path | None = None) -> Tensor:
    """Learned perceptual distance (AlexNet, version 0.1), [B]; lower is better, 0 for identical images. No gradient.

    Args:
        weights: a file of AlexNet's weights; None searches as `gkm.lpips_weights` says.

    Raises:
        InputError: the weights cannot be had or are not AlexNet's, or the images are below 32 pixels.
    """
    _check_shapes(restored_B3HW, sharp_B3HW, smallest=LPIPS_SMALLEST_PIXELS)
    network = _lpips_network(None if weights is None else str(weights), str(restored_B3HW.device))
    distances = network(restored_B3HW.float() * 2 - 1, sharp_B3HW.float() * 2 - 1)
    return cast(Tensor, distances.reshape(-1))


@lru_cache(maxsize=4)
def _lpips_network(weights: str | None, device: str) -> nn.Module:
    with warnings.catch_warnings():
        # lpips builds its backbone through arguments that torchvision has renamed.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models\._utils")
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
