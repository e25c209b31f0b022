"""A network and a photograph in, what the network does with it out: coefficient maps, kernels, results of each scale.

Nothing here changes the network, its mode or its gradients. Shape legend: 3 channels, K kernels, H x W pixels of a
scale, M x M pixels of a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gkm.config import GKMNetConfig
from gkm.networks.gkmnet.gcm import FixedGaussians, LearnedKernels
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.gkmnet.kernels import gaussian_bank, official_bank, paper_bank
from gkm.networks.gkmnet.sram import SRAM
from gkm.networks.network import InsideView, Kernels, kernel_names


@dataclass(frozen=True)
class Step:
    """One iteration at one scale."""

    scale: int
    """From 0, the coarsest."""
    iteration: int
    """From 0; above only where a scale has several."""
    gamma_y_KHW: Tensor  # noqa: N815
    """Coefficient maps for the blurred image, in (-1, 1)."""
    gamma_x_KHW: Tensor  # noqa: N815
    """Coefficient maps for the result of the step before."""
    result_3HW: Tensor  # noqa: N815
    """The deblurred image of this step."""


def trace(model: GKMNet, blurred_13HW: Tensor) -> list[Step]:
    """Every step of `model`, in evaluation mode, for one photograph [1, 3, H, W] in [0, 1], from coarse to fine.

    Raises ValueError for a batch, and for images that the network refuses.
    """
    if len(blurred_13HW) != 1:
        raise ValueError(f"one photograph is looked at at a time, but {len(blurred_13HW)} are given")
    maps: list[Tensor] = []
    results: list[Tensor] = []

    def keep_maps(_module: Any, _inputs: Any, output: tuple[Tensor, Any]) -> None:
        maps.append(output[0][0].clone())

    def keep_result(_module: Any, _inputs: Any, output: tuple[Tensor, Any]) -> None:
        results.append(output[0][0].clone())

    hooks = [block.register_forward_hook(keep_result) for block in model.blocks]
    hooks += [part.register_forward_hook(keep_maps) for part in model.modules() if isinstance(part, SRAM)]
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            model(blurred_13HW)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    steps = []
    for index, pair in enumerate(zip(maps, results, strict=True)):
        scale, iteration = divmod(index, model.config.iterations_per_scale)
        shrink = 2 ** (model.config.num_scales - 1 - scale)
        height, width = (-(-side // shrink) for side in blurred_13HW.shape[-2:])
        # Both may have been extended to a size that suits the encoder.
        gamma, result = (part[:, :height, :width] for part in pair)
        gamma_y, gamma_x = gamma.chunk(2)
        steps.append(Step(scale, iteration, gamma_y, gamma_x, result))
    return steps


def view(model: GKMNet, blurred_13HW: Tensor) -> InsideView:
    """The result of each scale, and the coefficient maps of the finest one for the result of the step before."""
    steps = trace(model, blurred_13HW)
    results = {step.scale: step.result_3HW for step in steps}
    if (found := kernels(model)) is None:
        return InsideView(list(results.values()))
    maps = steps[-1].gamma_x_KHW
    return InsideView(
        list(results.values()),
        maps,
        kernel_names(len(maps), None if found.random else found.sigmas_K.tolist()),
        "coefficient maps of the finest scale, in the order of their kernels: how much of the image, filtered by that "
        "kernel, is added (purple) or taken away (orange) at each pixel, before the weights ω of equation (9)",
    )


def kernels(model: GKMNet, seed: int | None = None) -> Kernels | None:
    """The kernels of `model` before and after learning; None for SRAM*, which has none.

    Random ones from before training are not kept, but the `seed` of the training gives them back. The release's
    bank deals its kernels out to the colours; they are given in order of sigma, each once.
    """
    config = model.config
    match model.gcm:
        case LearnedKernels():
            sigmas, gaussians = gaussian_bank(config.max_kernel_size, config.num_kernels)
            before = gaussians if config.gcm == "learned_gaussian" else _drawn(config, seed)
            now = model.gcm.kernels.detach().cpu().clone()
            return Kernels(sigmas, before, now, learned=True, random=config.gcm == "learned_random")
        case FixedGaussians():
            size = config.max_kernel_size
            bank = official_bank(size) if config.bank == "official" else paper_bank(size, config.num_kernels)
            fixed = bank.dense(config.max_kernel_size).float()
            return Kernels(torch.tensor(bank.sigmas_pixels), fixed, fixed.clone(), learned=False, random=False)
        case _:
            return None


def _drawn(config: GKMNetConfig, seed: int | None) -> Tensor | None:
    """The random kernels of a network that was made right after seeding PyTorch with `seed`."""
    if seed is None:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = GKMNet(config).gcm
    assert isinstance(start, LearnedKernels)
    return start.kernels.detach()
