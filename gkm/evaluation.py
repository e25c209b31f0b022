"""A restoring function and pairs of photographs in, one score per photograph out.

This is the only protocol of the project: validation, the noise study, the promotion gate and the report all score with
it. A restored photograph is clamped to [0,1] and rounded to 8 bits before any metric sees it, as a saved photograph
would be, while the sharp one keeps its own bit depth. docs/metrics.md says more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gkm import metrics
from gkm.config import Input
from gkm.data.dataset.pair import Pair
from gkm.data.reading.noise import add_noise
from gkm.errors import InputError
from gkm.networks import Network, strips

Restore = Callable[[Tensor], Tensor]
"""What a network sees, [1,C,H,W] in [0,1] (the blurred photograph, C = 3), in; the restored one, [1,3,H,W], out."""


LARGE_PIXELS = 4_000_000
"""GKMNet as a whole takes about 1.2 GB for each million pixels (at width 32, float32)."""


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

    Raises:
        FloatingPointError: a restored photograph has values that are not finite.
        InputError: a photograph is too small for the metrics, or has no views that `inputs` name, or LPIPS's weights
            cannot be had.
    """
    scores = []
    with torch.no_grad():
        for pair in pairs:
            input_1CHW = to_input(pair.seen(("blurred",) if restore is None else inputs))
            if noise_sigma_8bit:
                generator = _noise_generator(seed, pair)
                input_1CHW = add_noise(input_1CHW, noise_sigma_8bit, generator)
            input_1CHW = input_1CHW.to(device)
            restored_13HW = input_1CHW if restore is None else restore(input_1CHW)
            restored_13HW = _as_saved(restored_13HW, input_1CHW, f"{pair.scene}/{pair.name}")
            sharp_13HW = to_tensor(pair.sharp_HW3).to(device)
            score = ImageScore(
                scene=pair.scene,
                name=pair.name,
                psnr=metrics.psnr(restored_13HW, sharp_13HW).item(),
                ssim=metrics.ssim(restored_13HW, sharp_13HW).item(),
                lpips=metrics.lpips(restored_13HW, sharp_13HW, weights=lpips_weights).item() if with_lpips else None,
            )
            scores.append(score)
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


def restorer(model: nn.Module) -> Restore:
    """The finest output of `model` (which returns a list, coarse to fine) as a function, without gradients.

    Batch statistics are those of training; the model is left in the mode it was found in. Photographs of more than
    LARGE_PIXELS pixels pass in strips, if the network can: the same result but for rounding, in much less memory.
    """

    def restore(input_1CHW: Tensor) -> Tensor:
        if isinstance(model, Network) and input_1CHW[0, 0].numel() > LARGE_PIXELS:
            return strips.restore(model, input_1CHW)
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                finest: Tensor = model(input_1CHW)[-1]
                return finest
        finally:
            model.train(was_training)

    return restore


def restore_image(model: nn.Module, *photos_HW3: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """`model` applied to what it sees, on its own device; the result is uint8 of the same size.

    That is a photograph of uint8 or uint16, or the left and then the right view of one: the model's `inputs`. Raises
    InputError where there are more or fewer, or of different sizes, and FloatingPointError if the result has values
    that are not finite.
    """
    inputs = model.inputs if isinstance(model, Network) else ("blurred",)
    if len(photos_HW3) != len(inputs):
        raise InputError(
            f"the network sees {_in_words(inputs)}, but was given {len(photos_HW3)}; give it {len(inputs)}"
        )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    input_1CHW = to_input(photos_HW3).to(device)
    return to_8bit(_as_saved(restorer(model)(input_1CHW), input_1CHW, "the photograph"))


def to_input(photos_HW3: Sequence[npt.NDArray[Any]]) -> Tensor:
    """What a network sees, photographs of uint8 or uint16, as [1,C,H,W] in [0,1]: one after the other as channels.

    Raises InputError where their sizes differ.
    """
    sizes = [f"{photo_HW3.shape[1]}x{photo_HW3.shape[0]}" for photo_HW3 in photos_HW3]
    if len(set(sizes)) > 1:
        raise InputError(f"the views are {' and '.join(sizes)} pixels; give two views of one photograph, of one size")
    return torch.cat([to_tensor(photo_HW3) for photo_HW3 in photos_HW3], dim=1)


def to_tensor(image_HW3: npt.NDArray[Any]) -> Tensor:
    """A photograph of uint8 or uint16 as [1,3,H,W] float32 in [0,1]."""
    if image_HW3.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a photograph has 8 or 16 bits a channel, but this one is {image_HW3.dtype}")
    levels = np.float32(np.iinfo(image_HW3.dtype).max)
    channels_first = np.ascontiguousarray(image_HW3.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(channels_first / levels)[None]


def to_8bit(image_13HW: Tensor) -> npt.NDArray[np.uint8]:
    """[1,3,H,W] in [0,1] as a photograph of uint8, clamped and rounded."""
    levels_HW3 = (image_13HW[0].float().clamp(0, 1) * 255).round().permute(1, 2, 0)
    return np.ascontiguousarray(levels_HW3.to(torch.uint8).cpu().numpy())


def _in_words(inputs: Sequence[Input]) -> str:
    return "one photograph" if inputs == ("blurred",) else f"its {' and '.join(inputs)} views"


def _as_saved(restored_13HW: Tensor, input_1CHW: Tensor, photograph: str) -> Tensor:
    """Float32, clamped and rounded to 8 bits, after a check that it is a picture of the input's size at all."""
    shape = (1, 3, *input_1CHW.shape[-2:])
    if restored_13HW.shape != shape:
        raise ValueError(f"{photograph}: the restored shape is {list(restored_13HW.shape)}, not {list(shape)}")
    if not bool(torch.isfinite(restored_13HW).all()):
        raise FloatingPointError(f"{photograph}: the restored photograph has values that are not finite")
    return (restored_13HW.float().clamp(0, 1) * 255).round() / 255


def _noise_generator(seed: int, pair: Pair) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{pair.scene}/{pair.name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
