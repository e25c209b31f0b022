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
        for image, rows, g1, g2 in _blocks(half_BChw, g2_BCHW):
            # tanh(x) is 2 sigmoid(2x) - 1, which processors compute several times as fast.
            g1.mul_(2 * slope)
            torch.addcmul(g1, g1, g2.relu_(), out=g2).sigmoid_().mul_(2).sub_(1)
            gamma_BCHW[image, :, rows] = g2.flatten(1, 2)
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
        for image, rows, g1, g2 in _blocks(half_BChw, g2_BCHW):
            gamma, above = gamma_BCHW[image, :, rows], upstream_BCHW[image, :, rows]
            inner = torch.addcmul(above, above, gamma * gamma, value=-1).mul_(ctx.slope).view(g2.shape)
            pixels_BHWC[image, rows] = _channels_last(torch.ops.aten.threshold_backward(inner * g1, g2, 0))
            torch.addcmul(inner, inner, g2.relu_(), out=g2)
            two_rows = g2[:, :, 0] + g2[:, :, 1]
            fours = two_rows[..., ::2] + two_rows[..., 1::2]
            half_BhwC[image, rows.start // 2 : rows.stop // 2] = _channels_last(fours)
        return half_grad, g2_grad, None


def _channels_last(maps: Tensor) -> Tensor:
    """Rows [.., W, C] of maps [C, .., W]; PyTorch transposes two axes twice as fast as several."""
    return maps.flatten(1).t().view(-1, maps.shape[-1], len(maps))


def _blocks(half_BChw: Tensor, g2_BCHW: Tensor) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
    """Image, rows, g1 [C, rows / 2, 1, W] and g2 [C, rows / 2, 2, W] of one block of rows after the other; copies."""
    B, C, H, W = g2_BCHW.shape
    pixels_BHWC = g2_BCHW.permute(0, 2, 3, 1).contiguous()
    step = 2 * max(1, NUMBERS_AT_A_TIME // (2 * C * W))
    for image in range(B):
        for top in range(0, H, step):
            rows = slice(top, min(top + step, H))
            g1 = half_BChw[image, :, top // 2 : rows.stop // 2].contiguous().repeat_interleave(2, dim=2)
            g2 = pixels_BHWC[image, rows].reshape(-1, C).t().contiguous().to(half_BChw.dtype)
            yield image, rows, g1.unsqueeze(2), g2.view(C, -1, 2, W)
