"""Sharp crops in, the same crops as lenses that are drawn for them would take them, and the maps of their blur, out.

The lens of a crop is drawn from a generator whose seed are the crop's own pixels and the epoch. So it depends neither
on other crops nor on what was drawn before. Shape legend: B crops, C = 3 colours, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, fft
from torch.nn import functional

from gkm.classical.bank import BANK_PIXELS
from gkm.light import disk, from_linear, to_linear

SIGMAS_PIXELS = (*BANK_PIXELS, 6.0, 7.0)
"""Blurs that crops are mixed from: each pixel takes the two next to its own sigma, in proportion."""
OBJECTS, DISKS = 0.5, 0.5
"""Share of the crops with an object before its background, and of those blurred by a disk instead of a Gaussian."""
_TRUNCATED = 3.5
"""Sigmas after which a Gaussian ends."""


@dataclass(frozen=True)
class Scene:
    """What is drawn for one crop; sigmas in pixels, [H, W]."""

    ground_HW: Tensor  # noqa: N815
    object_HW: Tensor  # noqa: N815
    mask_HW: Tensor  # noqa: N815
    """1 where the object is, which is nearer than the ground."""
    disk: bool


@torch.no_grad()
def taken(sharp_B3HW: Tensor, largest_sigma_pixels: float, epoch: int) -> tuple[Tensor, Tensor]:
    """Crops in sRGB, [0, 1], blurred in linear light and rounded to 8 bits; their sigmas in pixels, [B, 1, H, W]."""
    scenes = [_draw(sharp_3HW, largest_sigma_pixels, epoch) for sharp_3HW in sharp_B3HW]
    ground, thing, mask = (
        torch.stack([getattr(scene, name) for scene in scenes])[:, None].to(sharp_B3HW)
        for name in ("ground_HW", "object_HW", "mask_HW")
    )
    disks = torch.tensor([scene.disk for scene in scenes], device=sharp_B3HW.device)
    linear = to_linear(sharp_B3HW)
    # What an object hides is not known; its surroundings, spread over it, go on beneath it.
    far = torch.cat((linear * (1 - mask), 1 - mask), dim=1)
    reach = torch.full_like(mask, SIGMAS_PIXELS[-1])
    spread = _blurred(far, reach, disks & False)
    beneath = linear * (1 - mask) + mask * spread[:, :3] / spread[:, 3:].clamp_min(1e-3)
    near = _blurred(torch.cat((linear * mask, mask), dim=1), thing, disks)
    light = _blurred(beneath, ground, disks) * (1 - near[:, 3:]) + near[:, :3]
    blurred = (from_linear(light.clamp(0, 1)) * 255).round() / 255
    return blurred, torch.where(mask > 0, thing, ground)


def _draw(sharp_3HW: Tensor, largest: float, epoch: int) -> Scene:
    height, width = sharp_3HW.shape[-2:]
    generator = torch.Generator().manual_seed(_seed(sharp_3HW, epoch))
    kind_2, grids = torch.rand(2, generator=generator), torch.rand(3, 4, 4, generator=generator)
    levels_2, slopes_2 = torch.rand(2, 2, generator=generator) * largest
    fields = functional.interpolate(2 * grids[:, None] - 1, (height, width), mode="bicubic", align_corners=True)[:, 0]
    ground_HW, object_HW = (
        (level + slope * field).abs().clamp_max(largest)
        for level, slope, field in zip(levels_2, slopes_2 / 2, fields[:2], strict=True)
    )
    mask_HW = (fields[2] > 0.2) if kind_2[0] < OBJECTS else torch.zeros(height, width)
    return Scene(ground_HW, object_HW, mask_HW.float(), disk=bool(kind_2[1] < DISKS))


def _seed(sharp_3HW: Tensor, epoch: int) -> int:
    """The same for the same pixels in the same epoch, wherever they are."""
    codes = (sharp_3HW * 65535).round().to(torch.int64).flatten()
    places = torch.arange(1, len(codes) + 1, device=codes.device)
    total = int((codes * (places * 2_654_435_761 % 2_147_483_647)).sum())
    return (total * 1_000_003 + epoch) % 2**63


def _blurred(images_BCHW: Tensor, sigmas_B1HW: Tensor, disks_B: Tensor) -> Tensor:
    """Each pixel blurred by its own sigma, from what lies around it; mirrored beyond the border."""
    largest = float(sigmas_B1HW.max())
    count = next((index for index, sigma in enumerate(SIGMAS_PIXELS) if sigma >= largest), len(SIGMAS_PIXELS) - 1) + 1
    margin = max(_margin(sigma) for sigma in SIGMAS_PIXELS[:count])
    height, width = images_BCHW.shape[-2:]
    padded = functional.pad(images_BCHW, (margin,) * 4, mode="reflect") if margin else images_BCHW
    size = padded.shape[-2], padded.shape[-1]
    spectrum = fft.rfft2(padded)
    place = _places(sigmas_B1HW)
    result = torch.zeros_like(images_BCHW)
    for index, sigma in enumerate(SIGMAS_PIXELS[:count]):
        share = (1 - (place - index).abs()).clamp_min(0)
        blurred = padded
        if sigma:
            kernels = [_kernel(sigma, which, size).to(padded) for which in (False, True)]
            transfers = [fft.rfft2(kernel) for kernel in kernels]
            transfer = torch.where(disks_B[:, None, None, None], transfers[1], transfers[0])
            blurred = fft.irfft2(spectrum * transfer, s=size)
        result += share * blurred[..., margin : margin + height, margin : margin + width]
    return result


def _places(sigmas: Tensor) -> Tensor:
    """Where sigmas lie in `SIGMAS_PIXELS`: 1.5 is half-way between the second and the third."""
    bank = sigmas.new_tensor(SIGMAS_PIXELS)
    above = torch.searchsorted(bank, sigmas.contiguous(), right=True).clamp(1, len(bank) - 1)
    low, high = bank[above - 1], bank[above]
    return (above - 1) + ((sigmas - low) / (high - low)).clamp(0, 1)


def _margin(sigma: float) -> int:
    """How far either point spread of this sigma reaches, in pixels."""
    return int(np.ceil(_TRUNCATED * sigma))


@lru_cache(maxsize=256)
def _kernel(sigma: float, is_disk: bool, size: tuple[int, int]) -> Tensor:
    """A point spread around the first pixel of an image of `size`, which goes on periodically."""
    if is_disk:
        kernel = disk(2 * sigma)
    else:
        distances = np.arange(-_margin(sigma), _margin(sigma) + 1)
        row = np.exp(-(distances**2) / (2 * sigma**2))
        kernel = np.outer(row, row) / row.sum() ** 2
    reach = len(kernel) // 2
    placed = np.zeros(size)
    placed[: len(kernel), : len(kernel)] = kernel
    return torch.from_numpy(np.roll(placed, (-reach, -reach), axis=(0, 1))).float()
