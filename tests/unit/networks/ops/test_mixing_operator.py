"""Equation (9) as one operator: by Triton's kernels, in its interpreter where there is no GPU, and by convolutions."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
if not CUDA:
    # Triton reads it when it is imported first, which PyTorch does with its compiler.
    os.environ.setdefault("TRITON_INTERPRET", "1")

from gkm.config import ModelConfig  # noqa: E402
from gkm.networks.gkmnet.gcm import gaussian_convolution  # noqa: E402
from gkm.networks.ops import mixing_operator  # noqa: E402
from gkm.networks.ops.mixing import TILED_TYPES, fits_tiles, weighted_sum  # noqa: E402
from gkm.networks.ops.mixing_operator import mix_all_in_tiles, mix_in_tiles, usable  # noqa: E402


def runs_triton():
    """Whether its kernels run here, in its interpreter where there is no GPU."""
    if find_spec("triton") is None:
        return False
    from triton import language
    from triton.runtime.interpreter import InterpretedFunction

    return CUDA or isinstance(language.zeros, InterpretedFunction)


needs_triton = pytest.mark.skipif(
    not runs_triton(),
    reason="needs Triton, not imported before: pip install -c constraints.txt -e '.[triton]' (Linux, 200 MB)",
)


@pytest.fixture(params=["triton", "convolutions"])
def either_way(request, monkeypatch):
    """With Triton's kernels, and without."""
    if request.param == "convolutions":
        monkeypatch.setattr(mixing_operator, "usable", lambda *_: False)
    elif not runs_triton():
        pytest.skip(needs_triton.kwargs["reason"])
    else:
        monkeypatch.setattr(mixing_operator, "usable", lambda *_: True)


def given(config, size, dtype, batch=1):
    """A module; an image, coefficient maps that are parts of others, and weights, all of which want gradients."""
    torch.manual_seed(0)
    module = gaussian_convolution(config).to(DEVICE)
    image = torch.rand(batch, 3, *size)
    gamma, omega = torch.randn(batch, 2 * config.num_kernels, *size), torch.randn(3, 3, config.num_kernels)
    return module, [tensor.to(DEVICE, dtype).requires_grad_() for tensor in (image, gamma, omega)]


def in_tiles(module, image, gamma, omega):
    taps, places = module.get_buffer("taps_3JM").flatten(0, 1), module.get_buffer("places_3K")
    return mix_in_tiles(image, taps, places, gamma.chunk(2, dim=1)[1], omega)


def assert_close(ours, exact):
    """Sums in bfloat16 are off by some parts in a hundred of the largest of them, wherever they are small."""
    rtol, atol = (1e-4, 1e-4) if ours.dtype == torch.float32 else (0.02, 0.02 * float(exact.detach().abs().max()))
    torch.testing.assert_close(ours.float(), exact, rtol=rtol, atol=atol)


CONFIGS = [
    (ModelConfig(max_kernel_size=5, num_kernels=1), (21, 35), 2),
    (ModelConfig(max_kernel_size=5, num_kernels=21), (7, 17), 1),
    (ModelConfig(max_kernel_size=21, num_kernels=1), (35, 37), 2),
    (ModelConfig(max_kernel_size=21, num_kernels=21), (9, 33), 1),
    (ModelConfig(num_kernels=6, max_kernel_size=5, bank="official"), (18, 13), 1),
    (ModelConfig(max_kernel_size=1, num_kernels=2), (5, 4), 1),
]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("config", "size", "batch"), CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_the_weighted_sum_with_its_gradients(config, size, batch, dtype):
    module, leaves = given(config, size, dtype, batch)
    ours = in_tiles(module, *leaves)
    assert ours.dtype == dtype
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    theirs = weighted_sum(module(exact[0]), (exact[1].chunk(2, dim=1)[1], exact[2]))
    upstream = torch.randn_like(theirs).to(dtype)
    assert_close(ours, theirs)
    grads = torch.autograd.grad(ours, leaves, upstream)
    for grad, expected in zip(grads, torch.autograd.grad(theirs, exact, upstream.float()), strict=True):
        assert grad.dtype == dtype
        assert_close(grad, expected)


def test_convolutions_take_images_with_their_channels_last():
    """On processors with instructions for bfloat16 oneDNN took minutes for a single one."""
    module, (image, gamma, omega) = given(ModelConfig(max_kernel_size=21, num_kernels=1), (35, 37), torch.bfloat16)
    given_alike = (image, image.detach().contiguous(memory_format=torch.channels_last))
    one, other = (in_tiles(module, each.detach(), gamma, omega) for each in given_alike)
    assert torch.equal(one, other)


@pytest.mark.usefixtures("either_way")
def test_several_sets_of_maps_are_added_up_and_only_what_is_wanted_is_computed():
    module, (image, gamma, omega) = given(ModelConfig(max_kernel_size=5, num_kernels=2), (8, 9), torch.float32)
    taps, places = module.get_buffer("taps_3JM").flatten(0, 1), module.get_buffer("places_3K")
    gamma_y, gamma_x = gamma.detach().chunk(2, dim=1)
    weights = (gamma_y, omega), (gamma_x, omega.detach())
    fused = mix_all_in_tiles(image.detach(), taps, places, *weights)
    whole = weighted_sum(module(image.detach()), *weights)
    torch.testing.assert_close(fused, whole, rtol=1e-4, atol=1e-4)
    (ours,), (theirs,) = (torch.autograd.grad(mixed.sum(), omega) for mixed in (fused, whole))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("either_way")
def test_is_an_operator_as_pytorch_wants_them():
    module, (image, gamma, omega) = given(ModelConfig(max_kernel_size=3, num_kernels=2), (4, 5), torch.float32)
    taps, places = module.get_buffer("taps_3JM").flatten(0, 1), module.get_buffer("places_3K")
    maps = gamma[:, :2].detach().requires_grad_()
    torch.library.opcheck(mix_in_tiles, (image, taps, places, maps, omega))
    torch.library.opcheck(mix_in_tiles, (image.detach(), taps, places, maps.detach(), omega))


@pytest.mark.slow
@needs_triton
def test_kernels_compile_for_an_a100_and_fit_its_shared_memory():
    script = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gkm.networks.ops import triton_mixing
from gkm.networks.ops.tiling import tiles
for kernel in (triton_mixing._mix, triton_mixing._weights_grad, triton_mixing._image_grad):
    constants = triton_mixing._constants(tiles(21), "tf32x3")
    options = {"num_warps": constants.pop("num_warps")}
    kinds = {"K": "i32", "H": "i32", "W": "i32", "of_image": "i32", "of_map": "i32", "places": "*i64"}
    signature = {p.name: "constexpr" if p.name in constants else kinds.get(p.name, "*fp32") for p in kernel.params}
    compiled = triton.compile(ASTSource(kernel, signature, constants), GPUTarget("cuda", 80, 32), options)
    assert "mma.sync" in compiled.asm["ptx"]
    assert compiled.metadata.shared <= 163 * 1024, compiled.metadata.shared
"""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_on_a_processor_and_for_other_types_the_usual_ways_are_taken():
    assert not fits_tiles(torch.rand(1, 3, 16, 16), 21)
    assert torch.float64 not in TILED_TYPES


def test_without_triton_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(mixing_operator, "find_spec", lambda name: None)
    monkeypatch.setattr(mixing_operator, "_try", lambda *_: pytest.fail("tried"))
    assert not usable("cuda:98", 21)


def test_where_its_kernels_fail_a_warning_says_why_once(monkeypatch):
    def fail(*_):
        raise RuntimeError("Failed to find C compiler.\nSet CC.")

    monkeypatch.setattr(mixing_operator, "find_spec", lambda name: object())
    monkeypatch.setattr(mixing_operator, "_try", fail)
    with pytest.warns(UserWarning, match=r"by convolutions on cuda:99.*\(Failed to find C compiler\.\)"):
        assert not usable("cuda:99", 21)
    assert not usable("cuda:99", 21)


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
def test_a_network_on_a_gpu_uses_it():
    module, (image, gamma, omega) = given(ModelConfig(), (64, 64), torch.float32)
    mixed = module.mix(image, (gamma.chunk(2, dim=1)[0], omega))
    assert "mix_in_tiles" in type(mixed.grad_fn).__name__
    torch.testing.assert_close(
        mixed, weighted_sum(module(image), (gamma.chunk(2, dim=1)[0], omega)), rtol=1e-3, atol=1e-3
    )
