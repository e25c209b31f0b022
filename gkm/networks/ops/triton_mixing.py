"""Image, kernels, coefficient maps and weights in, equation (9) and its gradients out, tile by tile: kernels in Triton.

This module imports Triton; `gkm.networks.ops.mixing_operator` is the door to it. Filtering is a product of matrices on
either side: a tile of T x T results is D A D', where A are the P x P pixels around it and the band matrix D [T, P] has
the taps of one kernel on its diagonals. So it runs on tensor cores, and a filtered map lives for one tile and one k.
A tile keeps A of three channels in shared memory, 12 P^2 bytes (48 KiB for P = 64), and D and D A beside it.

Shape legend: B images, 3 channels, K kernels of M taps, H x W pixels; omega is [3, 3, K]: result channel, image
channel, kernel. Taps are symmetric, so the adjoint of a filter is the filter.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr, tensor

from gkm.networks.ops.tiling import Tiles, tiles


@triton.jit  # type: ignore[untyped-decorator]
def _band(taps: tensor, row: tensor, M: constexpr, T: constexpr, P: constexpr) -> tensor:
    """D [T, P] of kernel `row`: taps[j - i] in row i and column j."""
    place = tl.arange(0, P)[None, :] - tl.arange(0, T)[:, None]
    return tl.load(taps + row * M + place, mask=(place >= 0) & (place < M), other=0.0).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _square(plane: tensor, top: tensor, left: tensor, H: tensor, W: tensor, SIDE: constexpr) -> tensor:
    """SIDE x SIDE numbers of a plane [H, W] from row `top` and column `left`, in float32; zeros beyond its border."""
    y, x = top + tl.arange(0, SIDE)[:, None], left + tl.arange(0, SIDE)[None, :]
    inside = (y >= 0) & (y < H) & (x >= 0) & (x < W)
    return tl.load(plane + y * W + x, mask=inside, other=0.0).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _write(plane: tensor, values: tensor, top: tensor, left: tensor, H: tensor, W: tensor, SIDE: constexpr) -> None:
    """What of a square lies within the plane, in the plane's type."""
    y, x = top + tl.arange(0, SIDE)[:, None], left + tl.arange(0, SIDE)[None, :]
    tl.store(plane + y * W + x, values.to(plane.dtype.element_ty), mask=(y < H) & (x < W))


@triton.jit  # type: ignore[untyped-decorator]
def _filtered(
    square: tensor, taps: tensor, row: tensor, M: constexpr, T: constexpr, P: constexpr, PRECISION: constexpr
) -> tensor:
    """D A D' [T, T] of a square A [P, P]."""
    band = _band(taps, row, M, T, P)
    columns = tl.dot(band, square, input_precision=PRECISION)
    return tl.dot(columns, tl.trans(band), input_precision=PRECISION)


@triton.jit  # type: ignore[untyped-decorator]
def _three(planes: tensor, top: tensor, left: tensor, H: tensor, W: tensor, SIDE: constexpr) -> tensor:
    """The squares of three planes that follow each other."""
    area = H * W
    first = _square(planes, top, left, H, W, SIDE)
    second = _square(planes + area, top, left, H, W, SIDE)
    return first, second, _square(planes + 2 * area, top, left, H, W, SIDE)


@triton.jit  # type: ignore[untyped-decorator]
def _write_three(
    planes: tensor, a: tensor, b: tensor, c: tensor, top: tensor, left: tensor, H: tensor, W: tensor, SIDE: constexpr
) -> None:
    area = H * W
    _write(planes, a, top, left, H, W, SIDE)
    _write(planes + area, b, top, left, H, W, SIDE)
    _write(planes + 2 * area, c, top, left, H, W, SIDE)


@triton.jit  # type: ignore[untyped-decorator]
def _weighted(omega: tensor, stride: tensor, a: tensor, b: tensor, c: tensor) -> tensor:
    """a, b and c times three weights that are `stride` apart, added up."""
    weight_a, weight_b, weight_c = tl.load(omega), tl.load(omega + stride), tl.load(omega + 2 * stride)
    return weight_a.to(tl.float32) * a + weight_b.to(tl.float32) * b + weight_c.to(tl.float32) * c


@triton.jit  # type: ignore[untyped-decorator]
def _blurred(
    red: tensor,
    green: tensor,
    blue: tensor,
    taps: tensor,
    places: tensor,
    K: tensor,
    M: constexpr,
    T: constexpr,
    P: constexpr,
    PRECISION: constexpr,
) -> tensor:
    """z_k of a tile in three channels; `places` [3, K], from its k-th number on, says which kernel each has."""
    z_red = _filtered(red, taps, tl.load(places), M, T, P, PRECISION)
    z_green = _filtered(green, taps, tl.load(places + K), M, T, P, PRECISION)
    return z_red, z_green, _filtered(blue, taps, tl.load(places + 2 * K), M, T, P, PRECISION)


@triton.jit  # type: ignore[untyped-decorator]
def _mix(
    image: tensor,
    taps: tensor,
    places: tensor,
    gamma: tensor,
    omega: tensor,
    mixed: tensor,
    K: tensor,
    H: tensor,
    W: tensor,
    of_image: tensor,
    of_map: tensor,
    M: constexpr,
    T: constexpr,
    P: constexpr,
    PRECISION: constexpr,
) -> None:
    """One tile of the sum over k of omega_k (gamma_k z_k). gamma's images and maps are `of_image`, `of_map` apart."""
    left, top, b = T * tl.program_id(0), T * tl.program_id(1), tl.program_id(2).to(tl.int64)
    red, green, blue = _three(image + 3 * b * H * W, top - M // 2, left - M // 2, H, W, P)
    red_sum = tl.zeros((T, T), tl.float32)
    green_sum, blue_sum = red_sum, red_sum
    maps = gamma + b * of_image
    for k in range(K):
        z_red, z_green, z_blue = _blurred(red, green, blue, taps, places + k, K, M, T, P, PRECISION)
        coefficient = _square(maps, top, left, H, W, T)
        red_sum += coefficient * _weighted(omega + k, K, z_red, z_green, z_blue)
        green_sum += coefficient * _weighted(omega + 3 * K + k, K, z_red, z_green, z_blue)
        blue_sum += coefficient * _weighted(omega + 6 * K + k, K, z_red, z_green, z_blue)
        maps += of_map
    _write_three(mixed + 3 * b * H * W, red_sum, green_sum, blue_sum, top, left, H, W, T)


@triton.jit  # type: ignore[untyped-decorator]
def _write_products(sums: tensor, K: tensor, above: tensor, z_red: tensor, z_green: tensor, z_blue: tensor) -> None:
    """What a tile adds to the gradient of three weights of omega."""
    tl.store(sums, tl.sum(above * z_red))
    tl.store(sums + K, tl.sum(above * z_green))
    tl.store(sums + 2 * K, tl.sum(above * z_blue))


@triton.jit  # type: ignore[untyped-decorator]
def _weights_grad(
    image: tensor,
    taps: tensor,
    places: tensor,
    gamma: tensor,
    omega: tensor,
    upstream: tensor,
    gamma_grad: tensor,
    omega_sums: tensor,
    K: tensor,
    H: tensor,
    W: tensor,
    of_image: tensor,
    of_map: tensor,
    M: constexpr,
    T: constexpr,
    P: constexpr,
    PRECISION: constexpr,
) -> None:
    """One tile of the gradient of gamma, and its share of that of omega, [3, 3, K] for each tile."""
    left, top, b = T * tl.program_id(0), T * tl.program_id(1), tl.program_id(2).to(tl.int64)
    tile = (b * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    red, green, blue = _three(image + 3 * b * H * W, top - M // 2, left - M // 2, H, W, P)
    red_above, green_above, blue_above = _three(upstream + 3 * b * H * W, top, left, H, W, T)
    maps, grads = gamma + b * of_image, gamma_grad + b * K * H * W
    for k in range(K):
        z_red, z_green, z_blue = _blurred(red, green, blue, taps, places + k, K, M, T, P, PRECISION)
        coefficient = _square(maps, top, left, H, W, T)
        grad = red_above * _weighted(omega + k, K, z_red, z_green, z_blue)
        grad += green_above * _weighted(omega + 3 * K + k, K, z_red, z_green, z_blue)
        grad += blue_above * _weighted(omega + 6 * K + k, K, z_red, z_green, z_blue)
        _write(grads, grad, top, left, H, W, T)
        sums = omega_sums + tile * 9 * K + k
        _write_products(sums, K, coefficient * red_above, z_red, z_green, z_blue)
        _write_products(sums + 3 * K, K, coefficient * green_above, z_red, z_green, z_blue)
        _write_products(sums + 6 * K, K, coefficient * blue_above, z_red, z_green, z_blue)
        maps += of_map
        grads += H * W


@triton.jit  # type: ignore[untyped-decorator]
def _image_grad(
    taps: tensor,
    places: tensor,
    gamma: tensor,
    omega: tensor,
    upstream: tensor,
    image_grad: tensor,
    K: tensor,
    H: tensor,
    W: tensor,
    of_image: tensor,
    of_map: tensor,
    M: constexpr,
    T: constexpr,
    P: constexpr,
    PRECISION: constexpr,
) -> None:
    """One tile of the gradient of the image: the sum over k of what reaches z_k, filtered."""
    left, top, b = T * tl.program_id(0), T * tl.program_id(1), tl.program_id(2).to(tl.int64)
    y, x = top - M // 2, left - M // 2
    red_above, green_above, blue_above = _three(upstream + 3 * b * H * W, y, x, H, W, P)
    red_sum = tl.zeros((T, T), tl.float32)
    green_sum, blue_sum = red_sum, red_sum
    maps = gamma + b * of_image
    for k in range(K):
        coefficient = _square(maps, y, x, H, W, P)
        z_red = coefficient * _weighted(omega + k, 3 * K, red_above, green_above, blue_above)
        z_green = coefficient * _weighted(omega + K + k, 3 * K, red_above, green_above, blue_above)
        z_blue = coefficient * _weighted(omega + 2 * K + k, 3 * K, red_above, green_above, blue_above)
        red, green, blue = _blurred(z_red, z_green, z_blue, taps, places + k, K, M, T, P, PRECISION)
        red_sum += red
        green_sum += green
        blue_sum += blue
        maps += of_map
    _write_three(image_grad + 3 * b * H * W, red_sum, green_sum, blue_sum, top, left, H, W, T)


def mix(image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor) -> Tensor:
    """Equation (9) with one set of coefficient maps, in the image's type."""
    image_B3HW, gamma_BKHW = image_B3HW.contiguous(), planes(gamma_BKHW)
    mixed = torch.empty_like(image_B3HW)
    cut = tiles(taps_JM.shape[1])
    _mix[_grid(image_B3HW, cut)](
        image_B3HW, taps_JM, places_3K, gamma_BKHW, omega_33K.contiguous(), mixed,
        *(gamma_BKHW.shape[1:] + gamma_BKHW.stride()[:2]), **_constants(cut, precision(image_B3HW)),
    )  # fmt: skip
    return mixed


def weights_grad(
    image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor, upstream_B3HW: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of gamma and omega; sums over tiles are in float32 and always in the same order."""
    image_B3HW, upstream_B3HW, gamma_BKHW = image_B3HW.contiguous(), upstream_B3HW.contiguous(), planes(gamma_BKHW)
    cut = tiles(taps_JM.shape[1])
    grid = _grid(image_B3HW, cut)
    gamma_grad = torch.empty_like(gamma_BKHW, memory_format=torch.contiguous_format)
    sums = torch.empty(grid[0] * grid[1] * grid[2], *omega_33K.shape, dtype=torch.float32, device=image_B3HW.device)
    _weights_grad[grid](
        image_B3HW, taps_JM, places_3K, gamma_BKHW, omega_33K.contiguous(), upstream_B3HW, gamma_grad, sums,
        *(gamma_BKHW.shape[1:] + gamma_BKHW.stride()[:2]), **_constants(cut, precision(image_B3HW)),
    )  # fmt: skip
    return gamma_grad, sums.sum(0).to(omega_33K.dtype)


def image_grad(
    taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor, upstream_B3HW: Tensor
) -> Tensor:
    """The gradient of the image, in the type of `upstream_B3HW`."""
    upstream_B3HW, gamma_BKHW = upstream_B3HW.contiguous(), planes(gamma_BKHW)
    grad = torch.empty_like(upstream_B3HW)
    cut = tiles(taps_JM.shape[1])
    _image_grad[_grid(upstream_B3HW, cut)](
        taps_JM, places_3K, gamma_BKHW, omega_33K.contiguous(), upstream_B3HW, grad,
        *(gamma_BKHW.shape[1:] + gamma_BKHW.stride()[:2]), **_constants(cut, precision(upstream_B3HW)),
    )  # fmt: skip
    return grad


def planes(maps_BKHW: Tensor) -> Tensor:
    """The maps themselves where each is contiguous, as those of a chunk are; otherwise a copy."""
    width = maps_BKHW.shape[3]
    return maps_BKHW if maps_BKHW.stride()[2:] == (width, 1) else maps_BKHW.contiguous()


def precision(like: Tensor) -> str:
    """How products of float32 are made: in TF32 where PyTorch may or 16 bits are asked for, else in three such parts.

    Where there is no TF32 (AMD, the interpreter) it is float32 itself.
    """
    if not like.is_cuda or torch.version.hip is not None:
        return "ieee"
    return "tf32" if like.dtype != torch.float32 or torch.backends.cudnn.allow_tf32 else "tf32x3"


def _constants(cut: Tiles, products: str) -> dict[str, int | str]:
    """What a kernel is compiled for."""
    return {"M": cut.taps, "T": cut.side, "P": cut.padded, "PRECISION": products, "num_warps": cut.warps}


def _grid(image_B3HW: Tensor, cut: Tiles) -> tuple[int, int, int]:
    batch, _, height, width = image_B3HW.shape
    return triton.cdiv(width, cut.side), triton.cdiv(height, cut.side), batch
