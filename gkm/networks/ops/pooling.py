"""What triplet attention does with all features: pooled along each axis, re-weighted by three gates; and gradients.

PyTorch's own gradients of maxima and means pass over the features some thirty times, these about ten times. Shape
legend: B images, H rows, W columns, C channels, which come last in memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable


def pooled(x_BHWC: Tensor) -> tuple[Tensor, ...]:
    """Maxima and means over C [B, H, W], maxima and means over H [B, W, C], maxima and means over W [B, H, C].

    Where several values are the largest, they share its gradient.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        found: tuple[Tensor, ...] = _Pooled.apply(x_BHWC)  # type: ignore[no-untyped-call]
        return found
    return _pool(x_BHWC)


def reweighted(x_BHWC: Tensor, a_BHW: Tensor, a_BWC: Tensor, a_BHC: Tensor) -> Tensor:
    """x times the average of three gates."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        product: Tensor = _Reweighted.apply(x_BHWC, a_BHW, a_BWC, a_BHC)  # type: ignore[no-untyped-call]
        return product
    return _average(a_BHW, a_BWC, a_BHC).mul_(x_BHWC)


def _pool(x_BHWC: Tensor) -> tuple[Tensor, ...]:
    B, H, W, C = x_BHWC.shape
    columns, rows = x_BHWC.view(B, H, W * C), x_BHWC.view(B * H, W, C)
    return (
        *(_maxima_of_channels(x_BHWC), _means_of_channels(x_BHWC)),
        *(columns.amax(1).view(B, W, C), _means_of_rows(columns).view(B, W, C)),
        *(_maxima_of_rows(rows).view(B, H, C), _means_of_rows(rows).view(B, H, C)),
    )


def _average(a_BHW: Tensor, a_BWC: Tensor, a_BHC: Tensor) -> Tensor:
    return ((a_BHW / 3).unsqueeze(3) + (a_BWC / 3).unsqueeze(1)).add_((a_BHC / 3).unsqueeze(2))


class _Pooled(Function):
    @staticmethod
    def forward(ctx: Any, x_BHWC: Tensor) -> tuple[Tensor, ...]:
        found = _pool(x_BHWC)
        ctx.save_for_backward(x_BHWC, *found[::2])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        x, *maxima = ctx.saved_tensors
        B, H, W, C = x.shape
        of_means_BHW, of_means_BWC, of_means_BHC = (part.contiguous() for part in upstream[1::2])
        grad: Tensor = (of_means_BHW / C).unsqueeze(3) + (of_means_BWC / H).unsqueeze(1)
        grad += (of_means_BHC / W).unsqueeze(2)
        is_largest = torch.empty_like(x)
        # Each as pooled: over the second or third axis of whole rows of memory.
        shapes = ((B * H, W, C), 2), ((B, H, W * C), 1), ((B * H, W, C), 1)
        for largest, of_maxima, (shape, axis) in zip(maxima, upstream[::2], shapes, strict=True):
            shape_pooled = (*shape[:axis], 1, *shape[axis + 1 :])
            here = is_largest.view(shape)
            torch.eq(x.view(shape), largest.reshape(shape_pooled), out=here)
            share = of_maxima.reshape(shape_pooled) / here.sum(axis, keepdim=True)
            grad.view(shape).addcmul_(here, share)
        return grad


class _Reweighted(Function):
    @staticmethod
    def forward(ctx: Any, x_BHWC: Tensor, a_BHW: Tensor, a_BWC: Tensor, a_BHC: Tensor) -> Tensor:
        weights = _average(a_BHW, a_BWC, a_BHC)
        ctx.save_for_backward(x_BHWC, weights)
        return x_BHWC * weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_BHWC: Tensor) -> tuple[Tensor, ...]:
        x, weights = ctx.saved_tensors
        B, H, W, C = x.shape
        upstream_BHWC = upstream_BHWC.contiguous()
        products = upstream_BHWC * x
        columns, rows = products.view(B, H, W * C), products.view(B * H, W, C)
        sums = products.sum(3), columns.sum(1).view(B, W, C), rows.sum(1).view(B, H, C)
        return upstream_BHWC * weights, *(part / 3 for part in sums)


def _maxima_of_channels(x_BHWC: Tensor) -> Tensor:
    """Maxima [B, H, W]. Processors have no instructions for maxima of bfloat16 within a row, but for float32."""
    if x_BHWC.dtype == torch.bfloat16 and x_BHWC.device.type == "cpu" and not torch.compiler.is_compiling():
        return x_BHWC.float().amax(3).bfloat16()
    return x_BHWC.amax(3)


def _means_of_channels(x_BHWC: Tensor) -> Tensor:
    """Means [B, H, W]. PyTorch copies bfloat16 into float32 for a mean, but not for a product of matrices."""
    if x_BHWC.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return x_BHWC.mean(3)
    return (x_BHWC @ x_BHWC.new_ones(x_BHWC.shape[3])) / x_BHWC.shape[3]


def _means_of_rows(x_BRC: Tensor) -> Tensor:
    """Means [B, C] over R, in the same way."""
    batch, rows, _ = x_BRC.shape
    if x_BRC.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return x_BRC.mean(1)
    return torch.bmm(x_BRC.new_ones(1, 1, rows).expand(batch, -1, -1), x_BRC)[:, 0] / rows


def _maxima_of_rows(x_RWC: Tensor) -> Tensor:
    """Maxima [R, C]; PyTorch needs many columns side by side, so where these are few, or in 16 bits, it gets eight."""
    rows, width, channels = x_RWC.shape
    enough = x_RWC.dtype != torch.bfloat16 and (channels >= 32 or x_RWC.device.type != "cpu")
    if torch.compiler.is_compiling() or enough or width < 16:  # in this order: a traced width has no bound
        return x_RWC.amax(1)
    whole = width // 8 * 8
    maxima = x_RWC[:, :whole].view(rows, whole // 8, 8 * channels).amax(1).view(rows, 8, channels)
    if whole < width:
        maxima = torch.cat((maxima, x_RWC[:, whole:]), dim=1)
    return maxima.float().amax(1).bfloat16() if x_RWC.dtype == torch.bfloat16 else maxima.amax(1)
