"""Filtered images, coefficient maps gamma and weights omega in, the weighted sum of equation (9) out.

Shape legend: B images, 3 channels, K kernels, H x W pixels; omega is [3, 3, K]: result channel, image channel, kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

from gkm.networks.ops.separable import SeparableFilter
from gkm.networks.ops.tiling import MOST_TAPS

Weights = tuple[Tensor, Tensor]
"""Coefficient maps gamma [B, K, H, W] and their weights omega [3, 3, K]."""

Strip = tuple[slice, slice, Tensor]
"""Images, rows, and the filtered maps z [3J, pixels] of these."""

TILED_TYPES = (torch.float32, torch.bfloat16, torch.float16)
STRIP_NUMBERS = 1_200_000
"""Filtered numbers held at a time: about as many as stay in a processor's cache."""


def weighted_sum(z_B3KHW: Tensor, *weights: Weights) -> Tensor:
    """Sum over k of omega_k (gamma_k z_k): a 1x1 convolution from the 3K products to 3 channels."""
    sums = [
        functional.conv2d((gamma[:, None] * z_B3KHW).flatten(1, 2), omega.flatten(1)[:, :, None, None])
        for gamma, omega in weights
    ]
    return sum(sums[1:], start=sums[0])


def fits_tiles(image_B3HW: Tensor, num_taps: int) -> bool:
    """Whether the operator `gkm::mix_in_tiles` is to be used: on a GPU, for the types and sizes its kernels know."""
    return image_B3HW.is_cuda and image_B3HW.dtype in TILED_TYPES and num_taps <= MOST_TAPS


def mix_separably(filters: SeparableFilter, places_K3: Tensor | None, image_B3HW: Tensor, *weights: Weights) -> Tensor:
    """The same sum, with the filtering within: the filtered maps exist for a strip of rows at a time only.

    For gradients they are kept: those of gamma and omega need them. `places_K3` says which of the 3J filtered maps is
    the k-th of a channel; None, when they are in order.
    """
    with torch.autocast("cpu", enabled=False):
        flat = [tensor.to(image_B3HW.dtype) for pair in weights for tensor in pair]
        wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (image_B3HW, *flat))
        kept: list[Strip] | None = [] if wanted else None
        mixed: Tensor = _MixSeparably.apply(filters, places_K3, kept, image_B3HW, *flat)  # type: ignore[no-untyped-call]
    return mixed


class _MixSeparably(Function):
    """The sum strip by strip, forwards and backwards.

    For each k, omega_k [3, 3] times the filtered channels comes first, and then the sum over k with gamma_k.
    """

    @staticmethod
    def forward(
        ctx: Any,
        filters: SeparableFilter,
        places_K3: Tensor | None,
        kept: list[Strip] | None,
        image: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        mixed_3BHW = image.new_zeros(3, len(image), *image.shape[2:])
        gammas, omegas = weights[::2], [_Omega(omega, places_K3, filters.maps) for omega in weights[1::2]]
        for images, rows, z in _strips(filters, image, weights[0].shape[1]):
            for gamma_BKHW, omega in zip(gammas, omegas, strict=True):
                gamma = gamma_BKHW[images, :, rows].transpose(0, 1).unsqueeze(1)
                maps = omega.sums(z).view(-1, 3, *gamma.shape[2:])
                mixed_3BHW[:, images, rows] += maps.mul_(gamma).sum(0)
            if kept is not None:
                kept.append((images, rows, z))
        ctx.filters, ctx.omegas, ctx.strips = filters, omegas, kept
        ctx.save_for_backward(*gammas)
        return mixed_3BHW.transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        filters: SeparableFilter = ctx.filters
        gammas, omegas = ctx.saved_tensors, ctx.omegas
        gamma_grads = [torch.empty_like(gamma, memory_format=torch.contiguous_format) for gamma in gammas]
        omega_grads = [torch.zeros_like(omega.matrices) for omega in omegas]
        image_grad: Tensor | None = None
        if ctx.needs_input_grad[3]:
            batch, _, height, width = upstream.shape
            image_grad = upstream.new_zeros(3, batch, height + 2 * filters.reach, width)
        for images, rows, z in ctx.strips:
            above = upstream[images, :, rows].transpose(0, 1)
            z_grad: Tensor | None = None
            for place, (gamma_BKHW, omega) in enumerate(zip(gammas, omegas, strict=True)):
                gamma = gamma_BKHW[images, :, rows].transpose(0, 1).unsqueeze(1)
                sums = omega.sums(z)
                maps = sums.view(-1, 3, *gamma.shape[2:])
                gamma_grads[place][images, :, rows] = maps.mul_(above).sum(1).transpose(0, 1)
                torch.mul(gamma, above, out=maps)
                omega_grads[place] += omega.grad(sums, z)
                if image_grad is not None:
                    change = omega.z_grad(sums)
                    z_grad = change if z_grad is None else z_grad + change
            if image_grad is not None and z_grad is not None:
                strip = filters.adjoint(z_grad.reshape(3, -1, *above.shape[1:]))
                image_grad[:, images, rows.start : rows.start + strip.shape[2]] += strip
        if image_grad is not None:
            image_grad = image_grad[:, :, filters.reach : filters.reach + upstream.shape[2]].transpose(0, 1)
        of_omegas = (omega.gathered(grad) for omega, grad in zip(omegas, omega_grads, strict=True))
        grads = zip(gamma_grads, of_omegas, strict=True)
        return None, None, None, image_grad, *(grad for pair in grads for grad in pair)


class _Omega:
    """omega as the factor from filtered maps z [3J, pixels] to sums over the channels [K, 3, pixels].

    It is K matrices [3, 3] where every channel has K maps of its own. Where the maps are fewer and taken several times
    it is one matrix [3K, 3J] that is mostly zero, which is quicker than to repeat them.
    """

    def __init__(self, omega_33K: Tensor, places_K3: Tensor | None, maps: int) -> None:
        self.num_kernels = omega_33K.shape[2]
        self.index = None if places_K3 is None else places_K3.unsqueeze(1).expand(-1, 3, -1)
        self.matrices = omega_33K.permute(2, 0, 1).contiguous()
        if self.index is not None:
            self.matrices = omega_33K.new_zeros(self.num_kernels, 3, maps).scatter_(2, self.index, self.matrices)

    def sums(self, z: Tensor) -> Tensor:
        """omega z."""
        if self.index is None:
            return torch.bmm(self.matrices, self._by_kernel(z))
        return torch.mm(self.matrices.flatten(0, 1), z).view(self.num_kernels, 3, -1)

    def z_grad(self, upstream_K3P: Tensor) -> Tensor:
        """Its gradient for z, [3, J, pixels]."""
        if self.index is None:
            return torch.bmm(self.matrices.mT, upstream_K3P).transpose(0, 1)
        return torch.mm(self.matrices.flatten(0, 1).t(), upstream_K3P.flatten(0, 1)).view(3, -1, upstream_K3P.shape[2])

    def grad(self, upstream_K3P: Tensor, z: Tensor) -> Tensor:
        """Its gradient for `matrices`."""
        if self.index is None:
            return torch.bmm(upstream_K3P, self._by_kernel(z).mT)
        return torch.mm(upstream_K3P.flatten(0, 1), z.t()).view_as(self.matrices)

    def gathered(self, grad_of_matrices: Tensor) -> Tensor:
        """The gradient for omega [3, 3, K] from that for `matrices`."""
        grad = grad_of_matrices if self.index is None else grad_of_matrices.gather(2, self.index)
        return grad.permute(1, 2, 0)

    def _by_kernel(self, z: Tensor) -> Tensor:
        return z.view(3, self.num_kernels, -1).transpose(0, 1)


def _strips(filters: SeparableFilter, image_B3HW: Tensor, num_kernels: int) -> Iterator[Strip]:
    """One strip after the other."""
    batch, _, height, _ = image_B3HW.shape
    rows_at_a_time = max(8, STRIP_NUMBERS // (3 * num_kernels * filters.padded_width))
    images_at_a_time = max(1, rows_at_a_time // height)
    for first in range(0, batch, images_at_a_time):
        images = slice(first, min(first + images_at_a_time, batch))
        padded = filters.pad(image_B3HW[images])
        for top in range(0, height, rows_at_a_time):
            rows = slice(top, min(top + rows_at_a_time, height))
            z = filters.filter(padded[:, :, rows.start : rows.stop + 2 * filters.reach])
            yield images, rows, z.reshape(filters.maps, -1)
