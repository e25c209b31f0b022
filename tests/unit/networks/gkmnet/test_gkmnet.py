"""The network: shapes, sizes, start, and what each arm trains."""

import pytest
import torch
from torch.nn import functional

from gkm.config import ModelConfig
from gkm.errors import InputError
from gkm.losses import multi_scale_loss
from gkm.networks.gkmnet.gkmnet import GKMNet
from gkm.networks.ops.pyramid import pyramid

SMALL = {"max_kernel_size": 5, "num_kernels": 3, "num_scales": 2, "width": 2}
ARMS = {
    "paper": {},
    "one scale": {"num_scales": 1},
    "without Conv-LSTM": {"recurrent": "conv"},
    "SRAM*": {"output": "sigmoid_image"},
    "learned from Gaussians": {"gcm": "learned_gaussian"},
    "learned from random": {"gcm": "learned_random"},
    "separate iterations": {"iterations_per_scale": 2},
    "shared iterations": {"iterations_per_scale": 2, "share_iterations": True},
    "as the release": {
        "num_kernels": 6,
        "bank": "official",
        "residual": False,
        "coefficients": "half_tanh",
        "omega": "shared_with_bias",
    },
}


def small(**settings):
    return ModelConfig(**{**SMALL, **settings})


def train_a_step(model, blurred, sharp):
    """The parameters that have a gradient, and the tensors of the state dict that a step changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss = multi_scale_loss(model(blurred), sharp, "l2")
    loss.backward()
    assert loss.isfinite()
    optimizer.step()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    return reached, {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("arm", ARMS)
def test_every_parameter_of_an_arm_trains(arm):
    torch.manual_seed(0)
    model = GKMNet(small(**ARMS[arm]))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers() if "taps" in name}
    reached, changed = train_a_step(model, torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))
    parameters = {name for name, _ in model.named_parameters()}
    # A bias before batch norm has no gradient but rounding: the norm takes every constant away.
    idle = {name for name in parameters if name.endswith("conv.bias") and "recurrent" not in name}
    assert parameters - reached - idle == set()
    assert changed >= reached
    for name, buffer in model.named_buffers():
        if name in buffers:
            assert torch.equal(buffer, buffers[name])


def test_parameters_of_the_arms():
    names = {arm: {name for name, _ in GKMNet(small(**settings)).named_parameters()} for arm, settings in ARMS.items()}
    paper = names["paper"]
    assert not any(name.startswith("gcm") for name in paper)
    assert names["learned from Gaussians"] - paper == {"gcm.kernels"}
    assert names["learned from random"] - paper == {"gcm.kernels"}
    assert names["one scale"] == names["without Conv-LSTM"] == names["shared iterations"] == paper
    assert names["as the release"] - paper == {"blocks.0.bias"}
    assert names["SRAM*"] ^ paper == {
        "blocks.0.omega_y",
        "blocks.0.omega_x",
        "blocks.0.to_image.weight",
        "blocks.0.to_image.bias",
    }
    second = {name.replace("blocks.0", "blocks.1") for name in paper}
    assert names["separate iterations"] == paper | second


@pytest.mark.parametrize("max_kernel_size", [1, 5, 9, 21])
@pytest.mark.parametrize("kernels", ["one", "three", "M", "M + 3"])
@pytest.mark.parametrize("gcm", ["fixed", "learned_random"])
def test_any_m_and_k_train_on_odd_sizes(max_kernel_size, kernels, gcm):
    count = {"one": 1, "three": 3, "M": max_kernel_size, "M + 3": max_kernel_size + 3}[kernels]
    model = GKMNet(small(max_kernel_size=max_kernel_size, num_kernels=count, gcm=gcm))
    _, changed = train_a_step(model, torch.rand(1, 3, 37, 53), torch.rand(1, 3, 37, 53))
    assert {"blocks.0.omega_y", "blocks.0.omega_x"} <= changed


@pytest.mark.parametrize("num_scales", [1, 2, 3, 4])
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_any_t_and_r_train_on_odd_sizes(num_scales, iterations):
    model = GKMNet(small(num_scales=num_scales, iterations_per_scale=iterations))
    blurred = torch.rand(1, 3, 97, 131)
    shapes = [tuple(output.shape[-2:]) for output in model(blurred)]
    assert shapes == [(-(-97 // 2**s), -(-131 // 2**s)) for s in reversed(range(num_scales))]
    train_a_step(model, blurred, blurred.flip(3))


@pytest.mark.parametrize("size", [(16, 16), (16, 301), (97, 131)])
@pytest.mark.parametrize("num_scales", [1, 3, 6])
def test_any_image_from_16_pixels_on(size, num_scales):
    model = GKMNet(small(num_scales=num_scales)).eval()
    outputs = model(torch.rand(1, 3, *size))
    assert len(outputs) == num_scales
    assert tuple(outputs[-1].shape[-2:]) == size
    assert all(output.isfinite().all() for output in outputs)


def test_smaller_images_are_refused():
    with pytest.raises(ValueError, match="15 x 64 pixels"):
        GKMNet(small())(torch.rand(1, 3, 15, 64))


@pytest.mark.parametrize("gcm", ["fixed", "learned_gaussian", "learned_random"])
def test_untrained_network_is_nearly_the_identity(gcm):
    torch.manual_seed(0)
    model = GKMNet(small(gcm=gcm, num_scales=3)).eval()
    blurred = torch.rand(1, 3, 64, 48)
    for output, y in zip(model(blurred), pyramid(blurred, 3), strict=True):
        difference = (output - y).abs().max()
        assert 0 < difference < 0.02


@pytest.mark.parametrize("gcm", ["learned_gaussian", "learned_random"])
def test_learned_kernels_are_shared_by_channels_and_scales(gcm):
    settings = small(gcm=gcm, num_scales=3)
    kernels = GKMNet(settings).gcm.kernels
    assert kernels.shape == (settings.num_kernels, settings.max_kernel_size, settings.max_kernel_size)


@pytest.mark.parametrize("arm", ["learned from Gaussians", "learned from random", "paper", "as the release"])
def test_gradients_in_double_precision(arm):
    torch.manual_seed(1)
    model = GKMNet(small(**ARMS[arm])).double().eval()
    trained = [model.blocks[0].omega_y, model.blocks[0].omega_x, model.blocks[0].sram.prediction.recurrent.conv.bias]
    if model.gcm.__class__.__name__ == "LearnedKernels":
        trained.append(model.gcm.kernels)
    blurred = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    weights = [torch.randn(1, 3, side, side, dtype=torch.float64) for side in (8, 16)]

    def scalar(*tensors):
        del tensors
        return sum((output * weight).sum() for output, weight in zip(model(blurred), weights, strict=True))

    assert torch.autograd.gradcheck(scalar, trained, fast_mode=True)


def test_pyramid_halves_bilinearly_and_extends_by_repetition():
    image = torch.rand(1, 3, 30, 33)
    coarse, middle, fine = pyramid(image, 3)
    assert (fine.shape[-2:], middle.shape[-2:], coarse.shape[-2:]) == ((32, 48), (16, 24), (8, 12))
    assert torch.equal(fine[..., :30, :33], image)
    assert torch.equal(fine[..., 31, :33], image[..., 29, :])
    half = functional.interpolate(fine, size=(16, 24), mode="bilinear", antialias=True)
    torch.testing.assert_close(middle, half)


@pytest.mark.parametrize("arm", ARMS)
def test_inference_form_gives_the_same_results(arm):
    torch.manual_seed(0)
    model = GKMNet(small(**ARMS[arm]))
    for _ in range(3):
        model(torch.rand(2, 3, 32, 32))
    model.eval()
    fast = model.for_inference()
    blurred = torch.rand(1, 3, 45, 67)
    with torch.no_grad():
        for ours, theirs in zip(fast(blurred), model(blurred), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in fast.modules())
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())


def test_trains_in_16_bit_arithmetic_with_its_sum_in_32():
    torch.manual_seed(0)
    model = GKMNet(small())
    blurred = torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(blurred)
    assert {output.dtype for output in outputs} == {torch.float32}
    assert (outputs[-1] - blurred).abs().max() < 0.02
    multi_scale_loss(outputs, blurred.flip(3), "l2").backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("arm", ["paper", "one scale", "without Conv-LSTM", "SRAM*", "as the release"])
def test_inference_in_16_bits_stays_close_and_gives_32(arm):
    torch.manual_seed(0)
    model = GKMNet(small(**ARMS[arm])).eval()
    fast = model.for_inference(torch.bfloat16)
    blurred = torch.rand(1, 3, 45, 67)
    with torch.no_grad():
        for ours, theirs in zip(fast(blurred), model(blurred), strict=True):
            assert (ours.float() - theirs).square().mean().sqrt() < 0.01
            assert ours.dtype == torch.float32


def test_windows_are_for_restoring_photographs_alone():
    torch.manual_seed(0)
    model = GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, width=4))
    for parameter in (model.blocks[0].omega_y, model.blocks[0].omega_x):
        torch.nn.init.normal_(parameter)
    windowed, photograph = model.with_window(32), torch.rand(2, 3, 64, 96)
    for ours, theirs in zip(windowed(photograph), model(photograph), strict=True):  # while training
        assert torch.equal(ours, theirs)
    model.eval()
    windowed.eval()
    windowed.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert not torch.allclose(windowed(photograph)[-1], model(photograph)[-1])
        assert torch.equal(windowed(photograph[..., :32, :32])[-1], model(photograph[..., :32, :32])[-1])
        assert torch.equal(model.with_window(96)(photograph)[-1], model(photograph)[-1])
        assert torch.equal(windowed.with_window(None)(photograph)[-1], model(photograph)[-1])


def test_impossible_windows_are_refused():
    with pytest.raises(InputError, match="window of 3 pixels"):
        GKMNet(ModelConfig(max_kernel_size=5, num_kernels=3, width=4)).with_window(3)
