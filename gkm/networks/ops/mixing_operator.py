"""Image, kernels, coefficient maps and weights in, equation (9) out, by one operator of PyTorch: `gkm::mix_in_tiles`.

Triton's kernels run it; where they cannot, separable convolutions do, which is found out when it runs: to
`torch.compile` it is one node either way. Filtered maps are never stored: for the gradients they are computed again.
Shape legend: B images, 3 channels, K kernels, J distinct ones of M taps, H x W pixels.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gkm.networks.ops.mixing import Weights, weighted_sum
from gkm.networks.ops.separable import filtered


@torch.library.custom_op(
    "gkm::mix_in_tiles",
    mutates_args=(),
    schema="(Tensor image, Tensor taps, Tensor places, Tensor gamma, Tensor omega) -> Tensor",
)
def mix_in_tiles(
    image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor
) -> Tensor:
    """The sum over k of omega_k (gamma_k z_k), [B, 3, H, W] in the image's type; products are added in float32.

    z_k is the image filtered along columns and rows by the symmetric taps `taps_JM[places_3K[c, k]]`, in channel c;
    beyond its border it is zero.
    """
    if not usable(str(image_B3HW.device), taps_JM.shape[1]):
        return by_convolutions(image_B3HW, taps_JM, places_3K, gamma_BKHW, omega_33K).contiguous()
    from gkm.networks.ops import triton_mixing

    with torch.cuda.device_of(image_B3HW):  # type: ignore[no-untyped-call]  # Triton launches on the current one
        return triton_mixing.mix(image_B3HW, taps_JM, places_3K, gamma_BKHW, omega_33K)


@torch.library.custom_op(
    "gkm::mix_in_tiles_backward",
    mutates_args=(),
    schema="(Tensor image, Tensor taps, Tensor places, Tensor gamma, Tensor omega, Tensor upstream, bool of_image, "
    "bool of_weights) -> (Tensor, Tensor, Tensor)",
)
def mix_in_tiles_backward(
    image_B3HW: Tensor,
    taps_JM: Tensor,
    places_3K: Tensor,
    gamma_BKHW: Tensor,
    omega_33K: Tensor,
    upstream_B3HW: Tensor,
    of_image: bool,
    of_weights: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of image, gamma and omega; empty where they are not asked for."""
    given = taps_JM, places_3K, gamma_BKHW, omega_33K, upstream_B3HW
    image_grad, gamma_grad, omega_grad = (like.new_empty(0) for like in (image_B3HW, gamma_BKHW, omega_33K))
    if not usable(str(image_B3HW.device), taps_JM.shape[1]):
        grads = _grads_by_convolutions(image_B3HW, *given)
        if of_image:
            image_grad = grads[0].contiguous()
        if of_weights:
            gamma_grad, omega_grad = grads[1].contiguous(), grads[2].contiguous()
        return image_grad, gamma_grad, omega_grad
    from gkm.networks.ops import triton_mixing

    with torch.cuda.device_of(image_B3HW):  # type: ignore[no-untyped-call]
        if of_image:
            image_grad = triton_mixing.image_grad(*given)
        if of_weights:
            gamma_grad, omega_grad = triton_mixing.weights_grad(image_B3HW, *given)
    return image_grad, gamma_grad, omega_grad


@mix_in_tiles.register_fake
def _(image: Tensor, taps: Tensor, places: Tensor, gamma: Tensor, omega: Tensor) -> Tensor:
    return torch.empty_like(image, memory_format=torch.contiguous_format)


@mix_in_tiles_backward.register_fake
def _(
    image: Tensor,
    taps: Tensor,
    places: Tensor,
    gamma: Tensor,
    omega: Tensor,
    upstream: Tensor,
    of_image: bool,
    of_weights: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    wanted = (image, of_image), (gamma, of_weights), (omega, of_weights)
    image_grad, gamma_grad, omega_grad = (
        torch.empty_like(like, memory_format=torch.contiguous_format) if asked else like.new_empty(0)
        for like, asked in wanted
    )
    return image_grad, gamma_grad, omega_grad


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    of_image, _, _, of_gamma, of_omega = ctx.needs_input_grad
    grads = mix_in_tiles_backward(*ctx.saved_tensors, upstream, of_image, of_gamma or of_omega)
    image_grad, gamma_grad, omega_grad = grads
    return (
        image_grad if of_image else None,
        None,
        None,
        gamma_grad if of_gamma else None,
        omega_grad if of_omega else None,
    )


mix_in_tiles.register_autograd(_gradients, setup_context=_keep)


def mix_all_in_tiles(image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, *weights: Weights) -> Tensor:
    """The sum of `mix_in_tiles` over all given (gamma, omega)."""
    sums = [mix_in_tiles(image_B3HW, taps_JM, places_3K, gamma, omega) for gamma, omega in weights]
    mixed: Tensor = sum(sums[1:], start=sums[0])
    return mixed


@lru_cache
def usable(device: str, num_taps: int) -> bool:
    """Whether Triton is installed and its kernels for so many taps run on `device`: they are tried once.

    Where they fail (Triton needs a C compiler, kernels need shared memory), a warning says why.
    """
    if find_spec("triton") is None:
        return False
    try:
        _try(device, num_taps)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        warnings.warn(
            f"equation (9) is computed by convolutions on {device}, since Triton's kernels do not run there ({reason})",
            stacklevel=2,
        )
        return False
    return True


def _try(device: str, num_taps: int) -> None:
    """Forwards and backwards with images of 16 pixels."""
    from gkm.networks.ops import triton_mixing

    image, gamma = (torch.zeros(1, maps, 16, 16, device=device) for maps in (3, 1))
    taps, omega = torch.zeros(1, num_taps, device=device), torch.zeros(3, 3, 1, device=device)
    weights = taps, torch.zeros(3, 1, dtype=torch.long, device=device), gamma, omega
    with torch.cuda.device_of(image):  # type: ignore[no-untyped-call]
        mixed = triton_mixing.mix(image, *weights)
        triton_mixing.image_grad(*weights, mixed)
        triton_mixing.weights_grad(image, *weights, mixed)
        if image.is_cuda:
            torch.cuda.synchronize()


def by_convolutions(
    image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor
) -> Tensor:
    """What `mix_in_tiles` is, where its kernels do not run."""
    dtype = image_B3HW.dtype
    with torch.autocast(image_B3HW.device.type, enabled=False):
        z_B3KHW = filtered(image_B3HW, taps_JM.to(dtype), places_3K)
        return weighted_sum(z_B3KHW, (gamma_BKHW.to(dtype), omega_33K.to(dtype)))


def _grads_by_convolutions(
    image_B3HW: Tensor, taps_JM: Tensor, places_3K: Tensor, gamma_BKHW: Tensor, omega_33K: Tensor, upstream_B3HW: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of image, gamma and omega, written down: within an operator PyTorch does not record any."""
    dtype = image_B3HW.dtype
    taps_JM, gamma, omega = taps_JM.to(dtype), gamma_BKHW.to(dtype), omega_33K.to(dtype)
    count, reach = places_3K.numel(), taps_JM.shape[1] // 2
    with torch.autocast(image_B3HW.device.type, enabled=False):
        z_B3KHW = filtered(image_B3HW, taps_JM, places_3K)
        above_B3KHW = torch.einsum("bohw,ock->bckhw", upstream_B3HW, omega)
        gamma_grad = (above_B3KHW * z_B3KHW).sum(1)
        omega_grad = torch.einsum("bohw,bkhw,bckhw->ock", upstream_B3HW, gamma, z_B3KHW)
        # Taps are symmetric, so the adjoint of a filter is the filter.
        # In order, as in `filtered`.
        of_maps = (above_B3KHW * gamma[:, None]).flatten(1, 2).contiguous()
        own_taps = taps_JM[places_3K.flatten()]
        columns = functional.conv2d(of_maps, own_taps[:, None, :, None], padding=(reach, 0), groups=count)
        rows = functional.conv2d(columns, own_taps[:, None, None, :], padding=(0, reach), groups=count)
        image_grad = rows.view_as(above_B3KHW).sum(2)
    return image_grad, gamma_grad.to(gamma_BKHW.dtype), omega_grad.to(omega_33K.dtype)
