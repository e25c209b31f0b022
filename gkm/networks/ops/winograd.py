"""Features in, their 3x3 convolution out, with a quarter of the multiplications: for inference on processors.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, CVPR 2016): tiles of 6 x 6 pixels, and kernels, are evaluated
at six points for each axis, multiplied there, and read back as 4 x 4 results. Both transforms are products of matrices,
one of 36 x 36 and one of 16 x 36 numbers. Shape legend: B images, I and O channels, H x W pixels, n rows of tiles.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where polynomials are evaluated, beside infinity. The usual 0, 1, -1, 2, -2 round off twice as much."""

TILE, RESULT = 6, 4
STRIP_NUMBERS = 1_200_000
"""Numbers of a transform that are held at a time: few enough for a cache, enough for several threads."""

FEWEST_CHANNELS = 128
"""With fewer channels, in or out, the transforms cost more than they save."""


def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of one axis, in float64: of tiles [6, 6], of kernels [6, 3], of results [4, 6] (Toom and Cook)."""
    points = torch.tensor(POINTS, dtype=torch.float64)
    tiles, kernels, results = (torch.zeros(shape, dtype=torch.float64) for shape in ((6, 6), (6, 3), (4, 6)))
    for row, point in enumerate(points):
        others = torch.cat((points[:row], points[row + 1 :]))
        tiles[row, :5] = _polynomial(others)
        kernels[row] = point ** torch.arange(3) / (point - others).prod()
        results[:, row] = point ** torch.arange(4)
    tiles[5] = _polynomial(points)
    kernels[5, 2] = results[3, 5] = 1
    return tiles, kernels, results


def _polynomial(roots: Tensor) -> Tensor:
    """Coefficients of the polynomial with these roots, the constant first."""
    coefficients = roots.new_ones(1)
    for root in roots:
        coefficients = functional.pad(coefficients, (1, 0)) - root * functional.pad(coefficients, (0, 1))
    return coefficients


class WinogradConv(nn.Module):
    """A frozen 3x3 convolution of stride 1, done in the quicker way where float32 on a processor is asked for.

    Elsewhere, and where gradients are wanted, it is the convolution that it was made from.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        tiles, kernels, results = transforms()
        evaluated = torch.einsum("ai,bj,ocij->abco", kernels, kernels, conv.weight.detach().double().cpu())
        self.register_buffer("kernels_36IO", evaluated.flatten(0, 1).float().contiguous(), persistent=False)
        self.register_buffer("of_tiles", torch.kron(tiles, tiles).float(), persistent=False)
        self.register_buffer("of_results", torch.kron(results, results).float(), persistent=False)

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
        x_BHWI = x_BIHW.permute(0, 2, 3, 1).contiguous()
        result_BHWO = torch.stack([self._image(x_HWI) for x_HWI in x_BHWI]) if len(x_BHWI) > 1 else self._only(x_BHWI)
        return result_BHWO.permute(0, 3, 1, 2)

    def _only(self, x_1HWI: Tensor) -> Tensor:
        return self._image(x_1HWI[0])[None]

    def _image(self, x_HWI: Tensor) -> Tensor:
        """The convolution of one image [H, W, O]."""
        kernels = self.get_buffer("kernels_36IO")
        height, width, channels = x_HWI.shape
        down, across, outputs = -(-height // RESULT), -(-width // RESULT), kernels.shape[2]
        n = min(down, max(1, STRIP_NUMBERS // (TILE**2 * max(channels, outputs) * across)))
        result = x_HWI.new_empty(RESULT * down, RESULT * across, outputs)
        padded = x_HWI.new_zeros(RESULT * n + 2, RESULT * across + 2, channels)
        row, column, _ = padded.stride()
        shape = TILE, TILE, n, across, channels
        windows = padded.as_strided(shape, (row, column, RESULT * row, RESULT * column, 1))
        room = x_HWI.new_empty(TILE**2 * n * across * max(channels, outputs))
        tiles = room[: TILE**2 * n * across * channels].view(shape)
        # The products take the place of the tiles, which are not needed any more: less to hold in the cache.
        products = room[: TILE**2 * n * across * outputs].view(TILE**2, n * across, outputs)
        evaluated = x_HWI.new_empty(TILE**2, n * across, channels)
        read_back = x_HWI.new_empty(RESULT, RESULT, n, across, outputs)
        in_place = read_back.permute(2, 0, 3, 1, 4)
        # Row by row of tiles, so that what a product touches stays in the cache: [n, 36 or 16, across * channels].
        by_row = [
            part.view(numbers, n, -1).transpose(0, 1)
            for part, numbers in ((tiles, TILE**2), (evaluated, TILE**2), (products, TILE**2), (read_back, RESULT**2))
        ]
        of_tiles, of_results = (self.get_buffer(name).expand(n, -1, -1) for name in ("of_tiles", "of_results"))
        for top in range(0, down, n):
            first = min(top, down - n)  # the last strip is as high as the others, and does some rows again
            self._pad(x_HWI, RESULT * first - 1, padded)
            tiles.copy_(windows)
            torch.bmm(of_tiles, by_row[0], out=by_row[1])
            torch.bmm(evaluated, kernels, out=products)
            torch.bmm(of_results, by_row[2], out=by_row[3])
            result[RESULT * first : RESULT * (first + n)].view(n, RESULT, across, RESULT, outputs).copy_(in_place)
        if self.conv.bias is not None:
            result += self.conv.bias
        return result if result.shape[:2] == (height, width) else result[:height, :width].contiguous()

    def _pad(self, x_HWI: Tensor, first: int, padded: Tensor) -> None:
        """Rows from `first` on with what lies left and right of them; what lies beyond whole tiles does not matter."""
        height, width, _ = x_HWI.shape
        top, end = max(first, 0), min(first + len(padded), height)
        padded[top - first : end - first, 1 : width + 1] = x_HWI[top:end]
        mirrored = self.conv.padding_mode == "reflect"
        if first < 0:
            padded[0, 1 : width + 1] = x_HWI[1] if mirrored else 0
        if first + len(padded) > height:
            padded[height - first :, 1 : width + 1] = x_HWI[height - 2] if mirrored else 0
        padded[:, 0] = padded[:, 2] if mirrored else 0
        padded[:, width + 1] = padded[:, width - 1] if mirrored else 0


def with_winograd(network: Network) -> Network:
    """`network` (frozen) with its 3x3 convolutions of many channels done by minimal filtering; changed in place."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Conv2d) and _suits(child) and not isinstance(part, WinogradConv):
                setattr(part, name, WinogradConv(child))
    return network


def _suits(conv: nn.Conv2d) -> bool:
    plain = conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.padding == (1, 1) and conv.groups == 1
    many = min(conv.in_channels, conv.out_channels) >= FEWEST_CHANNELS
    undilated = conv.dilation == (1, 1) and conv.padding_mode in {"zeros", "reflect"}
    return plain and many and undilated and conv.weight.dtype == torch.float32
