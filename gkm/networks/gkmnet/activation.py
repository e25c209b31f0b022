"""The two predictions of the attention prediction unit in, coefficient maps out: gamma = tanh(g1 relu(g2) + g1).

g1 has half the height and width of g2. Written as single operations on all maps this is a dozen passes over memory and
as many for the gradients; here a few rows at a time stay in the processor's cache. Shape legend: B images, C maps,
H x W pixels, h x w half of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

NUMBERS_AT_A_TIME = 250_000


def coefficients(half_BChw: Tensor, g2_BCHW: Tensor, slope: float) -> Tensor:
    """tanh(slope (g1 relu(g2) + g1)) for g1 = `half_BChw`, each of its pixels repeated twice in both directions."""
    if half_BChw.device.type == "cpu" and not torch.compiler.is_compiling():
        gamma: Tensor = _Coefficients.apply(half_BChw, g2_BCHW, slope)  # type: ignore[no-untyped-call]
        return gamma
    g1 = functional.interpolate(half_BChw, scale_factor=2, mode="nearest")
    return torch.tanh(slope * torch.addcmul(g1, g1, functional.relu(g2_BCHW).to(g1.dtype)))


class _Coefficients(Function):
    @staticmethod
    def forward(ctx: Any, half_BChw: Tensor, g2_BCHW: Tensor, slope: float) -> Tensor:
        gamma_BCHW = half_BChw.new_empty(g2_BCHW.shape)
        for images, rows, g1, g2 in _blocks(half_BChw, g2_BCHW):
            # tanh(x) is 2 sigmoid(2x) - 1, which processors compute several times as fast.
            g1.mul_(2 * slope)
            gamma = torch.addcmul(g1, g1, g2.relu()).sigmoid_().mul_(2).sub_(1)
            gamma_BCHW[images, :, rows] = gamma.permute(0, 3, 1, 2)
        ctx.slope = slope
        ctx.save_for_backward(half_BChw, g2_BCHW, gamma_BCHW)
        return gamma_BCHW

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_BCHW: Tensor) -> tuple[Tensor, Tensor, None]:
        half_BChw, g2_BCHW, gamma_BCHW = ctx.saved_tensors
        # Channels last, as what comes before has them: mixed layouts cost several times as much there.
        half_grad, g2_grad = (torch.empty_like(x, memory_format=torch.channels_last) for x in (half_BChw, g2_BCHW))
        half_BhwC, pixels_BHWC = (grad.permute(0, 2, 3, 1) for grad in (half_grad, g2_grad))
        for images, rows, g1, g2 in _blocks(half_BChw, g2_BCHW):
            gamma, above = gamma_BCHW[images, :, rows], upstream_BCHW[images, :, rows]
            inner = (
                torch.addcmul(above, above, gamma * gamma, value=-1).mul_(ctx.slope).permute(0, 2, 3, 1).contiguous()
            )
            pixels_BHWC[images, rows] = torch.ops.aten.threshold_backward(g1.mul_(inner), g2, 0)
            changes = torch.addcmul(inner, inner, g2.relu()).view(len(inner), -1, 2, *inner.shape[2:])
            two_rows = (changes[:, :, 0] + changes[:, :, 1]).view(*changes.shape[:2], -1, 2, inner.shape[3])
            half_BhwC[images, rows.start // 2 : rows.stop // 2] = two_rows[:, :, :, 0] + two_rows[:, :, :, 1]
        return half_grad, g2_grad, None


def _blocks(half_BChw: Tensor, g2_BCHW: Tensor) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Images, rows, and their g1 and g2 [images, rows, W, C], one block after the other; g1 is a copy."""
    B, C, H, W = g2_BCHW.shape
    pixels_BHWC, half_BhwC = (x.permute(0, 2, 3, 1).contiguous() for x in (g2_BCHW, half_BChw))
    row_step = 2 * max(1, NUMBERS_AT_A_TIME // (2 * C * W))
    image_step = max(1, NUMBERS_AT_A_TIME // (4 * C * H * W))
    for first in range(0, B, image_step):
        images = slice(first, min(first + image_step, B))
        for top in range(0, H, row_step):
            rows = slice(top, min(top + row_step, H))
            fours = half_BhwC[images, top // 2 : rows.stop // 2, None, :, None].expand(-1, -1, 2, -1, 2, -1)
            # A copy even of a single pixel: what is made of g1 takes its memory.
            g1 = fours.clone(memory_format=torch.contiguous_format).flatten(3, 4).flatten(1, 2)
            yield images, rows, g1, pixels_BHWC[images, rows].to(half_BChw.dtype)
