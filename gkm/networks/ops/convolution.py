"""Features in, their convolution out, in the quicker of two ways; the gradient of 3x3 weights, too.

Many channels of float32 on a processor pass by Winograd's minimal filtering (`gkm.networks.ops.winograd`). With fewer,
oneDNN finds the gradient of 3x3 weights at half the speed of all else on processors without AVX-512. Products of
matrices, one for each tap of the kernel, do better there. Shape legend: B images, I and O channels, H x W pixels.
"""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

from gkm.networks.ops import winograd

FEWEST_PIXELS = 4096
"""With fewer in a batch nothing is gained."""
FEWEST_CHANNELS = 32
"""With fewer, of image or result, the products are thin: 8 channels take four times as long as with oneDNN."""


def convolve(x_BIHW: Tensor, weight_OIss: Tensor, bias_O: Tensor | None) -> Tensor:
    """The convolution of stride 1 [B, O, H, W], its border of s // 2 pixels padded with zeros, in the quicker way."""
    if winograd.pays(x_BIHW, weight_OIss):
        return winograd.convolve(x_BIHW, weight_OIss, bias_O)
    return functional.conv2d(x_BIHW, weight_OIss, bias_O, padding=weight_OIss.shape[2] // 2)


class _Same(nn.Conv2d):
    """A convolution of stride 1 with a bias; the border is padded with zeros, so that the size stays."""

    side: ClassVar[int]

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=self.side, padding=self.side // 2)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(input, weight, bias)


class Conv5x5(_Same):
    """A 5x5 convolution of stride 1 with a bias; the border is padded with zeros."""

    side = 5


class Conv3x3(_Same):
    """A 3x3 convolution of stride 1 with a bias; the border is padded with zeros."""

    side = 3

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is not None and own_gradient_pays(input, weight):
            convolved: Tensor = _Convolve.apply(input, weight, bias)  # type: ignore[no-untyped-call]
            return convolved
        return super()._conv_forward(input, weight, bias)


def own_gradient_pays(x_BIHW: Tensor, weight_OI33: Tensor) -> bool:
    """Whether oneDNN convolves, and products of matrices are quicker for the gradient of the weights."""
    return (
        torch.is_grad_enabled()
        and x_BIHW.device.type == "cpu"
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
        and x_BIHW[:, 0].numel() >= FEWEST_PIXELS
        and min(weight_OI33.shape[:2]) >= FEWEST_CHANNELS
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not winograd.pays(x_BIHW, weight_OI33)
    )


class _Convolve(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        x_grad = conv2d_input(x.shape, weight, upstream, padding=1) if of_x else None  # type: ignore[no-untyped-call]
        weight_grad = weight_gradient(x, upstream) if of_weight else None
        return x_grad, weight_grad, upstream.sum((0, 2, 3)) if of_bias else None


def weight_gradient(x_BIHW: Tensor, upstream_BOHW: Tensor) -> Tensor:
    """The sum over all pixels of upstream times what each tap saw there, [O, I, 3, 3], of images of two rows or more.

    With the rows of an image one after the other, a tap sees the same pixels as its neighbour, one place further. At
    the ends of the rows that is wrong: what this adds is subtracted again.
    """
    seen_BHWI, above_BHWO = (maps.permute(0, 2, 3, 1).contiguous() for maps in (x_BIHW, upstream_BOHW))
    (_, height, width, inputs), outputs = seen_BHWI.shape, above_BHWO.shape[3]
    flat_above, flat_seen, pixels = above_BHWO.flatten(1, 2), seen_BHWI.flatten(1, 2), height * width
    grad_33OI = x_BIHW.new_empty(3, 3, outputs, inputs)
    for down, right in product((-1, 0, 1), repeat=2):
        shift = down * width + right
        above = flat_above[:, max(0, -shift) : pixels - max(0, shift)]
        seen = flat_seen[:, max(0, shift) : pixels - max(0, -shift)]
        products_BOI = torch.bmm(above.mT, seen)
        if right:
            # The last pixel of a row saw the first of the next one, or the first the last of the one before.
            first, end = max(0, -down - right), height - max(0, down + right)
            if first < end:
                wrong = seen_BHWI[:, first + down + right : end + down + right, 0 if right > 0 else -1]
                products_BOI.baddbmm_(above_BHWO[:, first:end, -1 if right > 0 else 0].mT, wrong, alpha=-1)
        torch.sum(products_BOI, 0, out=grad_33OI[down + 1, right + 1])
    return grad_33OI.permute(2, 3, 0, 1)
