"""Features in, their 3x3 or 5x5 convolution out, with a fraction of the multiplications: in float32 on processors.

Winograd's minimal filtering F(4x4, 3x3) and F(4x4, 5x5) (Lavin and Gray, CVPR 2016): tiles of 6 x 6 or 8 x 8 pixels,
and kernels, are evaluated at as many points, multiplied there, and read back as 4 x 4 results. Each transform is a
product of matrices. The same for gradients: that of the features is a convolution itself, that of the kernel adds up
the products of tiles and of what comes from above. Shape legend: B images, I and O channels, H x W pixels, s x s taps
of a kernel, t points, n rows of tiles.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)

RESULT = 4
"""Pixels a side that a tile gives."""
POINTS = {3: (0.0, 0.75, -0.75, 1.5, -1.5), 5: (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)}
"""Where polynomials are evaluated for each axis, beside infinity, by the side of the kernel.

Chosen for small errors: the usual 0, 1, -1, 2, -2 of a 3x3 kernel round off twice as much.
"""
STRIP_NUMBERS = 300_000
"""Numbers of a transform that are held at a time: few enough for the cache of a core."""
FEWEST_CHANNELS = {3: 128, 5: 40}
"""With fewer channels, in or out, the transforms cost more than they save."""
FEWEST_PIXELS, FEWEST_IN_ALL = 1024, 2048
"""Of an image, and of a batch. With fewer nothing is gained: kernels are evaluated anew for each batch."""


def pays(x_BIHW: Tensor, weight_OIss: Tensor) -> bool:
    """Whether `convolve` is quicker than PyTorch's convolution of stride 1 with a border of s // 2 pixels.

    It was measured with MKL's products of matrices, and is used with them alone.
    """
    least = FEWEST_CHANNELS.get(weight_OIss.shape[2])
    return (
        least is not None
        and min(weight_OIss.shape[:2]) >= least
        and x_BIHW.device.type == "cpu"
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and x_BIHW.dtype == weight_OIss.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and (pixels := x_BIHW.shape[2] * x_BIHW.shape[3]) >= FEWEST_PIXELS
        and len(x_BIHW) * pixels >= FEWEST_IN_ALL
    )


def convolve(x_BIHW: Tensor, weight_OIss: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """The convolution of stride 1 [B, O, H, W], its border of s // 2 pixels padded with zeros; s is 3 or 5."""
    result: Tensor = _Convolve.apply(x_BIHW, weight_OIss, bias_O)  # type: ignore[no-untyped-call]
    return result


class _Convolve(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _filtered(x, evaluated(weight), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        upstream = upstream.contiguous(memory_format=torch.channels_last)  # once for both gradients
        x_grad = _filtered(upstream, evaluated(weight.flip(2, 3).transpose(0, 1))) if of_x else None
        weight_grad = weight_gradient(x, upstream, weight.shape[2]) if of_weight else None
        return x_grad, weight_grad, upstream.sum((0, 2, 3)) if of_bias else None


@cache
def transforms(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of one axis, in float64: of tiles [t, t], of kernels [t, s], of results [4, t] (Toom and Cook)."""
    points = torch.tensor(POINTS[side], dtype=torch.float64)
    count = len(points) + 1
    assert count == RESULT + side - 1
    tiles, kernels, results = (torch.zeros(rows, columns, dtype=torch.float64) for rows, columns in (
        (count, count), (count, side), (RESULT, count),
    ))  # fmt: skip
    for row, point in enumerate(points):
        others = torch.cat((points[:row], points[row + 1 :]))
        tiles[row, :-1] = _polynomial(others)
        kernels[row] = point ** torch.arange(side) / (point - others).prod()
        results[:, row] = point ** torch.arange(RESULT)
    tiles[-1] = _polynomial(points)
    kernels[-1, -1] = results[-1, -1] = 1
    return tiles, kernels, results


def _polynomial(roots: Tensor) -> Tensor:
    """Coefficients of the polynomial with these roots, the constant first."""
    coefficients = roots.new_ones(1)
    for root in roots:
        coefficients = functional.pad(coefficients, (1, 0)) - root * functional.pad(coefficients, (0, 1))
    return coefficients


@cache
def _both_axes(side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The same of both axes: of tiles [tt, tt], of kernels [tt, ss], of results [16, tt]."""
    with torch.inference_mode(False):  # whoever asks first: they are kept for all
        tiles, kernels, results = (torch.kron(matrix, matrix).to(dtype) for matrix in transforms(side))
    return tiles, kernels, results


def evaluated(weight_OIss: Tensor) -> Tensor:
    """The kernels at all points [tt, I, O]."""
    outputs, inputs, side, _ = weight_OIss.shape
    of_kernels = _both_axes(side, weight_OIss.dtype)[1]
    return (of_kernels @ weight_OIss.permute(2, 3, 1, 0).reshape(side * side, -1)).view(-1, inputs, outputs)


def _filtered(x_BIHW: Tensor, kernels_tIO: Tensor, bias_O: Tensor | None = None, *, mirrored: bool = False) -> Tensor:
    """The convolution by kernels at all points; `mirrored`: its border is reflected, of a 3x3 kernel alone."""
    side = round(len(kernels_tIO) ** 0.5) - RESULT + 1
    x_BHWI = x_BIHW.permute(0, 2, 3, 1).contiguous()
    height, width, outputs = *x_BHWI.shape[1:3], kernels_tIO.shape[2]
    strips = _Strips(x_BHWI, side, outputs)
    n, across = strips.n, strips.across
    of_results = _both_axes(side, x_BHWI.dtype)[2].expand(n, -1, -1)
    # The products take the place of the tiles, which are not needed any more: less to hold in the cache.
    products = strips.room[: len(kernels_tIO) * n * across * outputs].view(-1, n * across, outputs)
    read_back = x_BHWI.new_empty(RESULT, RESULT, n, across, outputs)
    shape = len(x_BHWI), outputs, RESULT * strips.down, RESULT * across
    results = torch.empty(shape, dtype=x_BHWI.dtype, memory_format=torch.channels_last)
    for x_HWI, result in zip(x_BHWI, results.permute(0, 2, 3, 1), strict=True):
        for top in range(0, strips.down, n):
            first = min(top, strips.down - n)  # the last strip is as high as the others, and does some rows again
            torch.bmm(strips.evaluated(x_HWI, first, mirrored=mirrored), kernels_tIO, out=products)
            torch.bmm(of_results, strips.by_row(products), out=strips.by_row(read_back))
            into = result[RESULT * first : RESULT * (first + n)].view(n, RESULT, across, RESULT, outputs)
            into.copy_(read_back.permute(2, 0, 3, 1, 4))
    if bias_O is not None:
        results += bias_O[:, None, None]
    if results.shape[2:] == (height, width):
        return results
    # A copy, no view: it may be changed in place.
    return results[:, :, :height, :width].clone(memory_format=torch.channels_last)


def weight_gradient(x_BIHW: Tensor, upstream_BOHW: Tensor, side: int) -> Tensor:
    """Of the kernel [O, I, s, s], from that of the result."""
    x_BHWI, upstream_BHWO = (maps.permute(0, 2, 3, 1).contiguous() for maps in (x_BIHW, upstream_BOHW))
    _, height, width, outputs = upstream_BHWO.shape
    inputs = x_BHWI.shape[3]
    strips = _Strips(x_BHWI, side, outputs)
    n, across = strips.n, strips.across
    _, of_kernels, of_results = _both_axes(side, x_BHWI.dtype)
    back = of_results.t().contiguous().expand(n, -1, -1)
    above = x_BHWI.new_zeros(RESULT * n, RESULT * across, outputs)
    tiles = x_BHWI.new_empty(RESULT, RESULT, n, across, outputs)
    at_points = x_BHWI.new_empty(len(of_kernels), n * across, outputs)
    sums_tIO = x_BHWI.new_zeros(len(of_kernels), inputs, outputs)
    for x_HWI, upstream_HWO in zip(x_BHWI, upstream_BHWO, strict=True):
        for top in range(0, strips.down, n):
            first = min(top, strips.down - n)
            above.zero_()  # also the rows of the strip before, which have been counted
            rows = slice(RESULT * top, min(RESULT * (first + n), height))
            above[rows.start - RESULT * first : rows.stop - RESULT * first, :width] = upstream_HWO[rows]
            tiles.copy_(above.view(n, RESULT, across, RESULT, outputs).permute(1, 3, 0, 2, 4))
            torch.bmm(back, strips.by_row(tiles), out=strips.by_row(at_points))
            sums_tIO.baddbmm_(strips.evaluated(x_HWI, first).mT, at_points)
    grad = of_kernels.t() @ sums_tIO.flatten(1)
    return grad.view(side, side, inputs, outputs).permute(3, 2, 0, 1)


class _Strips:
    """The tiles of images [B, H, W, I] strip by strip, at all points."""

    def __init__(self, x_BHWI: Tensor, side: int, outputs: int) -> None:
        _, height, width, inputs = x_BHWI.shape
        tile = RESULT + side - 1
        most = max(inputs, outputs)
        self.border = side // 2
        self.down, self.across = -(-height // RESULT), -(-width // RESULT)
        """Tiles."""
        at_most = max(1, STRIP_NUMBERS // (tile**2 * most * self.across))
        self.n = -(-self.down // -(-self.down // at_most))
        """Rows of tiles of a strip: about the same in each."""
        self.room = x_BHWI.new_empty(tile**2 * self.n * self.across * most)
        """Where the tiles lie until they are evaluated."""
        self._padded = x_BHWI.new_zeros(RESULT * self.n + side - 1, RESULT * self.across + side - 1, inputs)
        row, column, _ = self._padded.stride()
        shape = tile, tile, self.n, self.across, inputs
        self._windows = self._padded.as_strided(shape, (row, column, RESULT * row, RESULT * column, 1))
        self._tiles = self.room[: tile**2 * self.n * self.across * inputs].view(shape)
        self._evaluated = x_BHWI.new_empty(tile**2, self.n * self.across, inputs)
        self._of_tiles = _both_axes(side, x_BHWI.dtype)[0].expand(self.n, -1, -1)

    def by_row(self, part: Tensor) -> Tensor:
        """[n, points or pixels of a tile, all else]: row by row of tiles, what a product touches stays in the cache."""
        numbers = part.numel() // (self.n * self.across * part.shape[-1])
        return part.view(numbers, self.n, -1).transpose(0, 1)

    def evaluated(self, x_HWI: Tensor, first: int, *, mirrored: bool = False) -> Tensor:
        """Of the strip whose first row of tiles is `first`, [tt, n * across, I]; until the next call."""
        self._pad(x_HWI, RESULT * first - self.border, mirrored=mirrored)
        self._tiles.copy_(self._windows)
        torch.bmm(self._of_tiles, self.by_row(self._tiles), out=self.by_row(self._evaluated))
        return self._evaluated

    def _pad(self, x_HWI: Tensor, first: int, *, mirrored: bool) -> None:
        """Rows from `first` on with what lies left and right of them; what lies beyond whole tiles does not matter."""
        (height, width, _), padded, border = x_HWI.shape, self._padded, self.border
        top, end = max(first, 0), min(first + len(padded), height)
        padded[: top - first], padded[end - first :] = 0, 0
        padded[top - first : end - first, border : width + border] = x_HWI[top:end]
        if mirrored:
            if first < 0:
                padded[0, 1 : width + 1] = x_HWI[1]
            if first + len(padded) > height:
                padded[height - first, 1 : width + 1] = x_HWI[height - 2]
            padded[:, 0], padded[:, width + 1] = padded[:, 2], padded[:, width - 1]


class WinogradConv(nn.Module):
    """A frozen 3x3 convolution of stride 1, done in the quicker way where float32 on a processor is asked for.

    Elsewhere, and where gradients are wanted, it is the convolution that it was made from.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        kernels = evaluated(conv.weight.detach().double().cpu()).float().contiguous()
        self.register_buffer("kernels_36IO", kernels, persistent=False)

    def forward(self, x_BIHW: Tensor) -> Tensor:
        if (
            x_BIHW.device.type != "cpu"
            or x_BIHW.dtype != torch.float32
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or min(x_BIHW.shape[2:]) < 2
        ):
            convolved: Tensor = self.conv(x_BIHW)
            return convolved
        mirrored = self.conv.padding_mode == "reflect"
        return _filtered(x_BIHW, self.get_buffer("kernels_36IO"), self.conv.bias, mirrored=mirrored)


def with_winograd(network: Network) -> Network:
    """`network` (frozen) with its 3x3 convolutions of many channels done by minimal filtering; changed in place."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Conv2d) and _suits(child) and not isinstance(part, WinogradConv):
                setattr(part, name, WinogradConv(child))
    return network


def _suits(conv: nn.Conv2d) -> bool:
    plain = conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.padding == (1, 1) and conv.groups == 1
    many = min(conv.in_channels, conv.out_channels) >= FEWEST_CHANNELS[3]
    undilated = conv.dilation == (1, 1) and conv.padding_mode in {"zeros", "reflect"}
    return plain and many and undilated and conv.weight.dtype == torch.float32
