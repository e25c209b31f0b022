"""Filtered images, coefficient maps gamma and weights omega in, the weighted sum of equation (9) out.

Shape legend: B images, 3 channels, K kernels, H x W pixels; omega is [3, 3, K]: result channel, image channel, kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, FunctionCtx
from torch.nn import functional

from gkm.model.separable import SeparableFilter

Weights = tuple[Tensor, Tensor]
"""Coefficient maps gamma [B, K, H, W] and their weights omega [3, 3, K]."""

STRIP_NUMBERS = 800_000
"""Filtered numbers held at a time: about as many as stay in a processor's cache."""


def weighted_sum(z_B3KHW: Tensor, *weights: Weights) -> Tensor:
    """Sum over k of omega_k (gamma_k z_k): a 1x1 convolution from the 3K products to 3 channels."""
    sums = [
        functional.conv2d((gamma[:, None] * z_B3KHW).flatten(1, 2), omega.flatten(1)[:, :, None, None])
        for gamma, omega in weights
    ]
    return sum(sums[1:], start=sums[0])


def mix_separably(filters: SeparableFilter, places: Tensor | None, image_B3HW: Tensor, *weights: Weights) -> Tensor:
    """The same sum, with the filtering within: the 3K filtered maps exist for a strip of rows at a time only.

    `places` [3K] says which of the 3J filtered maps is the k-th of a channel; None, when they are in order.
    """
    with torch.autocast("cpu", enabled=False):
        flat = [tensor.to(image_B3HW.dtype) for pair in weights for tensor in pair]
        mixed: Tensor = _MixSeparably.apply(filters, places, image_B3HW, *flat)  # type: ignore[no-untyped-call]
    return mixed


class _MixSeparably(Function):
    """The sum strip by strip, forwards and backwards; the filtered maps are made a second time rather than kept."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, filters: SeparableFilter, places: Tensor | None, image: Tensor, *weights: Tensor
    ) -> Tensor:
        ctx.filters, ctx.places = filters, places  # type: ignore[attr-defined]
        ctx.save_for_backward(image, *weights)
        mixed = torch.empty_like(image, memory_format=torch.contiguous_format)
        for index, rows, z in _strips(filters, places, image, weights[0].shape[1]):
            total = image.new_zeros(3, z[0, 0].numel())
            for gamma, omega in zip(weights[::2], weights[1::2], strict=True):
                total.addmm_(omega.flatten(1), (z * gamma[index, :, rows]).view(-1, total.shape[1]))
            mixed[index, :, rows] = total.view(3, *z.shape[2:])
        return mixed

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        filters, places = ctx.filters, ctx.places
        image, *weights = ctx.saved_tensors
        batch, channels, height, width = image.shape
        padded_shape = batch, channels, height + 2 * filters.reach, width
        image_grad = image.new_zeros(padded_shape) if ctx.needs_input_grad[2] else None
        grads = [torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in weights]
        for index, rows, z in _strips(filters, places, image, weights[0].shape[1]):
            above = upstream[index, :, rows].reshape(3, -1)
            z_grad = torch.zeros_like(z) if image_grad is not None else None
            for place in range(0, len(weights), 2):
                gamma, omega = weights[place][index, :, rows], weights[place + 1]
                products = z * gamma
                grads[place + 1].flatten(1).addmm_(above, products.view(-1, above.shape[1]).t())
                torch.mm(omega.flatten(1).t(), above, out=products.view(-1, above.shape[1]))
                if z_grad is not None:
                    z_grad.addcmul_(products, gamma)
                grads[place][index, :, rows] = products.mul_(z).sum(0)
            if z_grad is not None and image_grad is not None:
                if places is not None:
                    flat = z_grad.flatten(0, 1)
                    z_grad = flat.new_zeros(filters.bands.shape[0], *flat.shape[1:]).index_add_(0, places, flat)
                    z_grad = z_grad.view(3, -1, *flat.shape[1:])
                reached = slice(rows.start, rows.stop + 2 * filters.reach)
                image_grad[index, :, reached] += filters.adjoint(z_grad)
        if image_grad is not None:
            image_grad = image_grad[:, :, filters.reach : filters.reach + height]
        return None, None, image_grad, *grads


def _strips(
    filters: SeparableFilter, places: Tensor | None, image_B3HW: Tensor, num_kernels: int
) -> Iterator[tuple[int, slice, Tensor]]:
    """Image index, rows and filtered maps [3, K, h, W] of one strip after the other."""
    height = image_B3HW.shape[2]
    step = max(8, STRIP_NUMBERS // (3 * num_kernels * filters.padded_width))
    for index, image in enumerate(image_B3HW):
        padded = filters.pad(image)
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            z = filters.filter(padded[:, rows.start : rows.stop + 2 * filters.reach])
            if places is not None:
                z = z.flatten(0, 1)[places].view(3, num_kernels, *z.shape[2:])
            yield index, rows, z
