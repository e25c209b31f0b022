"""A restoring function and pairs of photographs in, one score per photograph out.

By the protocol "gkm", which is the default and serves validation, the promotion gate and the report, a restored
photograph is clamped to [0,1] and rounded to 8 bits before any metric sees it, as a saved photograph would be, while
the sharp one keeps its own bit depth. docs/evaluation.md says more of this and of the other protocols.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from gkm import metrics
from gkm.config import Input
from gkm.data.dataset.pair import Pair
from gkm.data.reading.noise import add_noise
from gkm.evaluation.protocol import GKM, Form, Protocol
from gkm.evaluation.restoring import Restore
from gkm.evaluation.tensors import refuse_other, to_input, to_tensor


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """How close one photograph is to its sharp partner."""

    scene: str
    name: str
    psnr: float
    """In dB; infinite for identical photographs."""
    ssim: float
    lpips: float | None = None
    """None where it was not asked for."""


def evaluate(
    restore: Restore | None,
    pairs: Iterable[Pair],
    *,
    inputs: Sequence[Input] = ("blurred",),
    noise_sigma_8bit: float = 0.0,
    seed: int = 0,
    with_lpips: bool = True,
    device: str | torch.device = "cpu",
    lpips_weights: str | Path | None = None,
    protocol: Protocol = GKM,
) -> list[ImageScore]:
    """Scores of `restore` on every pair, in their order; of the blurred photographs themselves if it is None.

    Args:
        inputs: which photographs of a pair `restore` sees, one after the other along its channels.
        noise_sigma_8bit: standard deviation of Gaussian noise added to the blurred photograph, or to each view, in
            8-bit grey levels. The sum is not clamped. What is drawn depends on `seed` and on the pair's scene and name
            alone: every model of the same `inputs` sees the same noise; a larger sigma gives the same noise, scaled.
        with_lpips: also compute LPIPS, the slowest of the three.
        device: where `restore` and the metrics compute.
        lpips_weights: see `gkm.metrics.lpips`.
        protocol: what the metrics see of the photographs.

    Raises:
        FloatingPointError: a restored photograph has values that are not finite.
        InputError: a photograph is too small for the metrics, or has no views that `inputs` name, or LPIPS's weights
            cannot be had.
    """
    scores = []
    with torch.no_grad():
        for pair in pairs:
            photos_HW3 = pair.seen(("blurred",) if restore is None else inputs)
            input_1CHW = _cut(_with_bits(to_input(photos_HW3), protocol.input_bits), protocol.size_multiple)
            if noise_sigma_8bit:
                generator = _noise_generator(seed, pair)
                input_1CHW = add_noise(input_1CHW, noise_sigma_8bit, generator)
            input_1CHW = input_1CHW.to(device)
            restored_13HW = input_1CHW if restore is None else restore(input_1CHW)
            refuse_other(restored_13HW, input_1CHW, f"{pair.scene}/{pair.name}")
            sharp_13HW = _with_bits(to_tensor(pair.sharp_HW3), protocol.sharp_bits).to(device)
            sharp_13HW = _cut(sharp_13HW, protocol.size_multiple)
            scores.append(_score(pair, restored_13HW, sharp_13HW, protocol, with_lpips, lpips_weights))
    return scores


def mean_scores(scores: Sequence[ImageScore]) -> dict[str, float]:
    """Means over the photographs: "psnr" in dB, "ssim", and "lpips" if every score has it.

    Raises ValueError if there are no scores.
    """
    if not scores:
        raise ValueError("there are no scores to average")
    means = {"psnr": fmean(score.psnr for score in scores), "ssim": fmean(score.ssim for score in scores)}
    distances = [score.lpips for score in scores if score.lpips is not None]
    if len(distances) == len(scores):
        means["lpips"] = fmean(distances)
    return means


def _score(
    pair: Pair,
    restored_13HW: Tensor,
    sharp_13HW: Tensor,
    protocol: Protocol,
    with_lpips: bool,
    lpips_weights: str | Path | None,
) -> ImageScore:
    if border := protocol.border_pixels:
        restored_13HW, sharp_13HW = (
            image[..., border:-border, border:-border] for image in (restored_13HW, sharp_13HW)
        )
    lpips = None
    if with_lpips:
        seen_13HW = _in_form(restored_13HW, protocol.lpips)
        lpips = metrics.lpips(seen_13HW, sharp_13HW, weights=lpips_weights, scaled=protocol.lpips_scaled).item()
    return ImageScore(
        scene=pair.scene,
        name=pair.name,
        psnr=metrics.psnr(_in_form(restored_13HW, protocol.psnr), sharp_13HW).item(),
        ssim=metrics.ssim(_in_form(restored_13HW, protocol.ssim), sharp_13HW, protocol.ssim_window).item(),
        lpips=lpips,
    )


def _in_form(restored_13HW: Tensor, form: Form) -> Tensor:
    restored_13HW = restored_13HW.float()
    return _with_bits(restored_13HW.clamp(0, 1) if form.clamped else restored_13HW, form.bits)


def _with_bits(image_1CHW: Tensor, bits: int | None) -> Tensor:
    """Rounded to as many bits; as it is for None."""
    if bits is None:
        return image_1CHW
    levels = float(2**bits - 1)
    return (image_1CHW * levels).round() / levels


def _cut(image_1CHW: Tensor, multiple: int) -> Tensor:
    """Without the rows at the bottom and the columns at the right beyond a multiple."""
    height, width = image_1CHW.shape[-2:]
    return image_1CHW[..., : height - height % multiple, : width - width % multiple]


def _noise_generator(seed: int, pair: Pair) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{pair.scene}/{pair.name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
